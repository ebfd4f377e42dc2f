"""What a device got: per item of its plan how it went, and what its commands printed."""

from __future__ import annotations

from dataclasses import dataclass

from devices.models import Device, DeviceFile, Onboarding

FDO = "fdo"
"""The only method with which devices send us files."""
SHOWN_MAX = 4000
"""Characters of a command's output; the file has the rest."""
FILES_MAX = 50
STREAMS = (".out", ".err")


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command wrote to one stream."""

    file: DeviceFile
    text: str
    is_error: bool
    cut: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One item."""

    id: str
    ok: bool
    detail: str
    exit_code: int | None
    printed: tuple[Printed, ...]


def results_of(device: Device) -> tuple[tuple[Result, ...], list[DeviceFile]]:
    """Results of the last run, and the files that it sent beside the outputs."""
    onboarding: Onboarding | None = getattr(device, "onboarding", None)
    said = [one for one in onboarding.results if isinstance(one, dict)] if onboarding else []
    ids = {str(one.get("id", "")) for one in said}
    files = list(device.files.defer("sealed").order_by("-pk")[:FILES_MAX]) if device.method == FDO else []
    outputs: dict[str, DeviceFile] = {}
    for file in files:
        if file.name.endswith(STREAMS) and file.name[:-4] in ids:
            outputs.setdefault(file.name, file)
    # Only outputs of the run that is told about: an older one would contradict it.
    newest = max((file.received_at for file in outputs.values()), default=None)
    current = {name: file for name, file in outputs.items() if file.received_at == newest}
    others = [file for file in files if file not in current.values()]
    return tuple(_result(one, current) for one in said), others


def _result(one: dict[str, object], outputs: dict[str, DeviceFile]) -> Result:
    name, code = str(one.get("id", "")), one.get("exit_code")
    printed = tuple(_printed(outputs[name + end]) for end in STREAMS if name + end in outputs)
    exit_code = code if isinstance(code, int) else None
    return Result(name, bool(one.get("ok")), str(one.get("detail", "")), exit_code, printed)


def _printed(file: DeviceFile) -> Printed:
    text = file.content.decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return Printed(file, shown[:SHOWN_MAX], file.name.endswith(".err"), len(shown) > SHOWN_MAX)
