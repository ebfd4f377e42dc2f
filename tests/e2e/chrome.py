"""Chromium as tests use it, and somebody who watches what a page does behind the scenes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
# Violations of the content security policy are events of the document; the console only tells some of them.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@dataclass
class Watcher:
    """Every request, error and WebSocket frame of one browser profile."""

    origin: str
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)

    def attach(self, context: BrowserContext) -> None:
        context.add_init_script(TELL_VIOLATIONS)
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        context.on("page", lambda page: page.on("websocket", self._websocket))

    def headers_seen(self) -> str:
        """All URLs and headers that the browser sent, in one text to search in."""
        return "\n".join(f"{request.url} {request.headers}" for request in self.requests)

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.faults.append(f"request to another origin: {request.url}")

    def _response(self, response: Response) -> None:
        # A page may answer 404 with a sentence; a missing script, style or fragment may not.
        if response.status >= 400 and response.request.resource_type != "document":
            self.faults.append(f"{response.status} for {response.request.method} {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    def _websocket(self, socket: Any) -> None:
        if urlsplit(socket.url).netloc != urlsplit(self.origin).netloc:
            self.faults.append(f"WebSocket to another origin: {socket.url}")
        socket.on("framereceived", lambda frame: self.frames.append(str(frame)))


@dataclass
class Person:
    """Somebody with one browser profile. Counts how often they tap."""

    page: Page
    watcher: Watcher
    base: str
    taps: int = 0

    def open(self, path: str) -> None:
        self.page.goto(path if "://" in path else self.base + path)

    def tap(self, name: str, role: str = "button") -> None:
        """Press what is called so, exactly once on the page."""
        self.page.get_by_role(role, name=name).click()  # type: ignore[arg-type]
        self.taps += 1

    def heading(self) -> str:
        """The page's one heading."""
        return self.page.get_by_role("heading", level=1).inner_text()

    def add_authenticator(self) -> Any:
        """A platform authenticator that always finds its person (WebAuthn's virtual one)."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("WebAuthn.enable")
        session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        return session


def person_in(browser: Browser, base: str, state: Any = None, **options: Any) -> Person:
    """A fresh profile; ``state`` is what another one stored after signing in."""
    context = browser.new_context(**{"viewport": PHONE, "storage_state": state, **options})
    context.set_default_timeout(15_000)
    watcher = Watcher(base)
    watcher.attach(context)
    return Person(context.new_page(), watcher, base)
