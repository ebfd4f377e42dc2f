"""The five modules of a device: each takes one message of the owner and says what to answer."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from hashlib import sha384
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.protocols.fdo.service_info.constants import DATA_LENGTH, CsrFormat
from bootstrap.protocols.fdo.service_info.device.effects import EffectFailed, Effects, ModuleFailed, Traits
from bootstrap.wire import cbor

Say = Callable[[str, Any], None]
"""``say(message, value)`` queues one key-value of the module."""


class DownloadModule:
    """fdo.download: collects a file, checks length and checksum, and hands it over."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._start()

    def _start(self) -> None:
        self._name, self._length, self._sha384 = "", -1, b""
        self._content = bytearray()

    def receive(self, message: str, item: Any, say: Say) -> None:
        """``data`` ends at the announced length, or when empty if none was announced."""
        if message == "name":
            self._name = str(item)
        elif message == "length" and isinstance(item, int):
            self._length = item
        elif message == "sha-384" and isinstance(item, bytes):
            self._sha384 = item
        elif message == "data" and isinstance(item, bytes):
            self._content += item
            if len(self._content) >= self._length >= 0 or not item:
                say("done", self._store())
                self._start()

    def _store(self) -> int:
        content = bytes(self._content)
        if 0 <= self._length != len(content) or not self._name:
            return -1
        if self._sha384 and sha384(content).digest() != self._sha384:
            return -1
        try:
            self._effects.write_file(self._name, content)
        except EffectFailed:
            return -1
        return len(content)


class UploadModule:
    """fdo.upload: sends the file that the owner names."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._need_sha = False

    def receive(self, message: str, item: Any, say: Say) -> None:
        """``name`` starts the transfer; at least one ``data`` goes out, empty for an empty file."""
        if message == "need-sha":
            self._need_sha = item is True
        elif message == "name":
            need_sha, self._need_sha = self._need_sha, False
            try:
                content = self._effects.read_file(str(item))
            except EffectFailed as error:
                raise ModuleFailed(f"error uploading: {error}") from error
            say("length", len(content))
            for start in range(0, max(len(content), 1), DATA_LENGTH):
                say("data", content[start : start + DATA_LENGTH])
            if need_sha:
                say("sha-384", sha384(content).digest())


class CommandModule:
    """fdo.command: runs a program to its end at ``execute``."""

    def __init__(self, effects: Effects, traits: Traits) -> None:
        self._effects = effects
        self._traits = traits
        self._start("")

    def _start(self, command: str) -> None:
        self._command, self._args = command, ()
        self._wishes: set[str] = set()

    _args: tuple[str, ...]

    def receive(self, message: str, item: Any, say: Say) -> None:
        """Raises ModuleFailed when the program fails and may not."""
        if message == "command":
            self._start(str(item))
        elif message == "args":
            self._args = self._read_args(item)
        elif message in ("may_fail", "return_stdout", "return_stderr") and item is True:
            self._wishes.add(message)
        elif message == "execute":
            self._execute(say)

    def _read_args(self, item: Any) -> tuple[str, ...]:
        if isinstance(item, bytes) and self._traits.args != "array":
            item = cbor.decode(item)
        elif self._traits.args == "bstr":
            raise MalformedMessage("command args are not a bstr")
        if not isinstance(item, list) or not all(isinstance(arg, str) for arg in item):
            raise ModuleFailed("Failed to read command args array length")
        return tuple(item)

    def _execute(self, say: Say) -> None:
        may_fail = "may_fail" in self._wishes
        try:
            ran = self._effects.run(self._command, self._args)
        except EffectFailed as error:
            raise ModuleFailed(f"error starting command: {error}") from error
        for name, output in (("stdout", ran.stdout), ("stderr", ran.stderr)):
            if output and f"return_{name}" in self._wishes:
                for start in range(0, len(output), DATA_LENGTH):
                    say(name, output[start : start + DATA_LENGTH])
        if ran.exit_code and not may_fail:
            raise ModuleFailed(f"command failed with exit code: {ran.exit_code}")
        say("exitcode", ran.exit_code)
        self._start("")


class WgetModule:
    """fdo.wget: fetches at ``url``."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._start()

    def _start(self) -> None:
        self._name, self._sha384 = "", b""

    def receive(self, message: str, item: Any, say: Say) -> None:
        """The default name is the last part of the URL's path."""
        if message == "sha-384" and isinstance(item, bytes):
            self._sha384 = item
        elif message == "name":
            self._name = str(item)
        elif message == "url":
            url = str(item)
            name = self._name or url.partition("?")[0].rpartition("/")[2]
            try:
                content = self._effects.fetch(url)
                if self._sha384 and sha384(content).digest() != self._sha384:
                    raise EffectFailed("the checksum of what was fetched does not match")
                self._effects.write_file(name, content)
            except EffectFailed as error:
                say("error", str(error))
            else:
                say("done", len(content))
            self._start()


class CsrModule:
    """fdo.csr, led by the device: authorities, then a certificate, then goodbye."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._authorities = b""
        self._request = b""

    def begin(self, say: Say) -> bool:
        """Ask for the authorities; False when the device wants no certificate."""
        request = self._effects.certificate_request()
        if request is None:
            return False
        self._request = request
        say("active", True)
        say("cacerts-req", int(CsrFormat.PKCS7_CERTS_ONLY))
        return True

    def receive(self, message: str, item: Any, say: Say) -> None:
        """An error ends it; the device goes on without a certificate."""
        if message == "cacerts-res":
            self._authorities = _der(item)
            say("simpleenroll-req", b64encode(self._request).decode("ascii"))
        elif message == "simpleenroll-res":
            self._effects.certificate(_der(item), self._authorities)
            say("active", False)
        elif message == "error":
            say("active", False)


def _der(item: Any) -> bytes:
    try:
        return b64decode(str(item), validate=True)
    except (Base64Error, ValueError):
        raise MalformedMessage("an answer in fdo.csr that is not base64") from None
