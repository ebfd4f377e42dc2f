"""How a page looks and reads: screenshots on request, axe always, nothing wider than the screen."""

from __future__ import annotations

import os

from axe_playwright_python.sync_playwright import Axe

from tests.e2e.chrome import DESKTOP, PHONE, Person
from tests.live_portal import ROOT

SCREENS = {"phone": PHONE, "desktop": DESKTOP}
THEMES = ("light", "dark")
FOLDER = ROOT / "docs" / "screenshots"
PICTURES = {
    "claim",
    "devices",
    "device",
    "device-stuck",
    "add",
    "offer",
    "plan-edit",
    "sign-in",
    "welcome",
    "vouchers",
    "voucher",
    "voucher-import",
    "job",
    "settings-fdo",
    "settings-key",
    "device-fdo-known",
    "device-fdo-stuck",
    "plan-try-unfit",
}
"""The pages whose pictures are kept; the others are examined all the same."""
NARROWEST = 320
"""CSS pixels at which a page must still fit (WCAG 2.2, 1.4.10)."""


def examine(person: Person, name: str, screen: str, theme: str) -> list[str]:
    """Everything that is wrong with the page as it stands."""
    page = person.page
    page.wait_for_load_state("load")
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")
    if name in PICTURES and os.environ.get("ONWARD_SCREENSHOTS") == "1":
        FOLDER.mkdir(parents=True, exist_ok=True)
        to = FOLDER / f"{name}-{screen}-{theme}.png"
        page.screenshot(path=to, animations="disabled", caret="hide")
    wrong = [f"{name} {screen} {theme}: {problem}" for problem in _axe(person)]
    if screen == "phone" and theme == "light":
        page.set_viewport_size({"width": NARROWEST, "height": 640})
        wide = page.evaluate("document.documentElement.scrollWidth")
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        if wide > NARROWEST:
            wrong.append(f"{name}: {wide} pixels wide on a screen of {NARROWEST}")
    return wrong


def _axe(person: Person) -> list[str]:
    violations = Axe().run(person.page).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for violation in violations
        for node in violation["nodes"][:3]
    ]
