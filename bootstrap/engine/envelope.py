"""What a session's sealed blob holds: the frozen state, and the last request with its reply.

The digest and the reply are the retransmission cache: the same request again gets the same reply and no step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cbor2

from bootstrap.contract import Reply, Verdict
from bootstrap.errors import LocalError
from devices import vault


@dataclass(frozen=True, slots=True)
class Envelope:
    """The opened blob."""

    state: bytes = field(repr=False)
    digest: bytes = b""
    reply: Reply | None = None


def _context(protocol: str, locator: str) -> bytes:
    return f"session {protocol} {locator}".encode()


def seal(envelope: Envelope, protocol: str, locator: str) -> bytes:
    """Bound to the session's name: a blob moved to another row does not open."""
    reply = envelope.reply
    answer = [reply.body, reply.verdict.value, reply.msk, reply.media_type, reply.token] if reply else None
    return vault.seal(cbor2.dumps([envelope.state, envelope.digest, answer]), _context(protocol, locator))


def unseal(blob: bytes, protocol: str, locator: str) -> Envelope:
    """Raises LocalError when the blob is not ours or not this session's."""
    try:
        state, digest, answer = cbor2.loads(vault.unseal(blob, _context(protocol, locator)))
        reply = _reply(answer) if answer else None
    except (cbor2.CBORDecodeError, ValueError, TypeError, IndexError) as error:
        raise LocalError(f"stored session cannot be read: {type(error).__name__}") from error
    return Envelope(state, digest, reply)


def _reply(answer: list[Any]) -> Reply:
    body, verdict, msk, media_type, token = answer
    return Reply(body, Verdict(verdict), token, msk, media_type)


def seal_trace(trace: bytes, code: str) -> bytes:
    """A message in clear for the decoded view, bound to what the line says of it."""
    return vault.seal(trace, b"trace " + code.encode())


def unseal_trace(blob: bytes, code: str) -> bytes:
    """The inverse; raises LocalError."""
    return vault.unseal(blob, b"trace " + code.encode())


def seal_material(material: bytes, protocol: str, locator: str) -> bytes:
    """What another protocol left for this session."""
    return vault.seal(material, b"material " + _context(protocol, locator))


def unseal_material(blob: bytes, protocol: str, locator: str) -> bytes:
    """The inverse; raises LocalError."""
    return vault.unseal(blob, b"material " + _context(protocol, locator))
