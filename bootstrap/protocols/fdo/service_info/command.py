"""fdo.command, owner side: a program run on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bootstrap.protocols.fdo.service_info.actions import ActionResult, Command, quoted
from bootstrap.protocols.fdo.service_info.constants import OUTPUT_LENGTH_MAX, Module
from bootstrap.protocols.fdo.service_info.kv import KV, NULL, TRUE
from bootstrap.protocols.fdo.service_info.quirks import Quirks
from bootstrap.protocols.fdo.service_info.state import Heard, OwnerModules
from bootstrap.wire import cbor


@dataclass(frozen=True, slots=True)
class OwnerCommand:
    """The program may run for as long as it likes; the device keeps asking meanwhile."""

    action: Command
    module: str = Module.COMMAND
    content: bytes = b""
    streams: bool = False
    patience: int | None = None

    def head(self, quirks: Quirks) -> list[KV]:
        """Command, arguments in the device's dialect, wishes, and the word to go.

        Without arguments the message is left out: then the two dialects are the same.
        """
        said: list[KV] = [("fdo.command:command", cbor.encode(self.action.command))]
        if self.action.args:
            args = cbor.encode(list(self.action.args))
            said.append(("fdo.command:args", args if quirks.args_as_array else cbor.encode(args)))
        wishes = {
            "may_fail": self.action.may_fail,
            "return_stdout": self.action.return_stdout,
            "return_stderr": self.action.return_stderr,
        }
        said += [(f"fdo.command:{name}", TRUE) for name, wanted in wishes.items() if wanted]
        return [*said, ("fdo.command:execute", NULL)]

    def heard(self, state: OwnerModules, message: str, item: Any) -> Heard:
        """Output is kept up to its limit; ``exitcode`` ends the action."""
        if message == "stdout":
            return replace(state, content=_appended(state.content, item)), None
        if message == "stderr":
            return replace(state, errors=_appended(state.errors, item)), None
        if message == "error":
            return state, self._ended(state, None, f"the device could not run it: {quoted(item)}")
        if message not in ("exitcode", "exit_code") or not isinstance(item, int):
            return state, None
        return state, self._ended(state, int(item), f"exit code {item}")

    def silent(self, state: OwnerModules) -> ActionResult:
        """Only reached through the limit of rounds."""
        return self._ended(state, None, "no exit code came")

    def _ended(self, state: OwnerModules, code: int | None, detail: str) -> ActionResult:
        sentence = f"{quoted(self.action.command)}: {detail}"
        return ActionResult(self.action.id, code == 0, sentence, state.content, state.errors, code)


def _appended(kept: bytes, item: Any) -> bytes:
    octets = item.encode() if isinstance(item, str) else item if isinstance(item, bytes) else b""
    return (kept + octets[: OUTPUT_LENGTH_MAX - len(kept)]) if len(kept) < OUTPUT_LENGTH_MAX else kept
