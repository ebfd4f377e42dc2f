"""Lines for the timeline, and what else every step of the three servers shares."""

from __future__ import annotations

from bootstrap.contract import Env, Level, Note
from bootstrap.wire import cbor

from ..constants import MessageType

TRACE_MAX_LENGTH = 16 * 1024
"""Octets of request and reply that are kept for the decoded view; a file in transit is not."""

NOTE_CODES: dict[int, str] = {
    MessageType.DI_SET_HMAC: "fdo.set-hmac",
    MessageType.TO0_OWNER_SIGN: "fdo.owner-sign",
    MessageType.TO1_PROVE_TO_RV: "fdo.prove-to-rv",
    MessageType.TO2_HELLO_DEVICE: "fdo.hello-device",
    MessageType.TO2_GET_OV_NEXT_ENTRY: "fdo.get-ov-next-entry",
    MessageType.TO2_PROVE_DEVICE: "fdo.prove-device",
    MessageType.TO2_DEVICE_SERVICE_INFO_READY: "fdo.device-service-info-ready",
    MessageType.TO2_DEVICE_SERVICE_INFO: "fdo.device-service-info",
    MessageType.TO2_DONE: "fdo.done",
    MessageType.ERROR: "fdo.error-received",
}
"""Requests that leave a line, by number. One line tells of the request and of its reply."""


def seconds(env: Env) -> int:
    """``env.now`` as Unix time."""
    return int(env.now.timestamp())


def noted(
    number: int, request: bytes, reply: bytes, level: Level = Level.INFO, /, **detail: str | int
) -> Note:
    """The line for one request and its reply, both in clear; ``trace`` is ``[bstr request, bstr reply]``."""
    fits = len(request) + len(reply) <= TRACE_MAX_LENGTH
    trace = cbor.encode([request, reply]) if fits else b""
    return Note(NOTE_CODES[number], level, {"message": int(number), **detail}, trace)
