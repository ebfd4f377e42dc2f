"""Bearer tokens of FDO: what a conversation needs before it has a row of its own, sealed and given to the peer.

The first letter says what a token is. ``d``, ``r`` and ``h`` hold their conversation (DI after message 10, TO0 and TO1,
TO2 before the device has proved itself), so that neither a stranger nor a device that only asks costs a write. ``c`` is
a random name: the row of a TO2 whose device has proved itself keeps its digest.
"""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Any

import cbor2

from bootstrap.contract import Env
from bootstrap.errors import LocalError
from bootstrap.protocols.fdo.constants import InvalidToken
from devices import vault

LIFETIME_SECONDS = 300
"""From a first message to the proof that answers it."""
SKEW_SECONDS = 60
"""Another process of ours, with another clock, may have made it."""
_RANDOM_LENGTH = 18


class TokenKind(StrEnum):
    """First letter of a token."""

    DI = "d"
    RENDEZVOUS = "r"
    HELLO = "h"
    CONVERSATION = "c"


def milliseconds(env: Env) -> int:
    """``env.now`` as Unix time in milliseconds."""
    return int(env.now.timestamp() * 1000)


def token_seal(kind: TokenKind, at: int, *values: Any) -> str:
    """``at`` is the beginning of the conversation, in milliseconds."""
    return kind.value + vault.seal_text(cbor2.dumps([at, *values]), _context(kind))


def token_open(kind: TokenKind, token: str, env: Env) -> list[Any]:
    """``[at, *values]``. Raises InvalidToken for one that is not ours, of another kind, or too old."""
    if token[:1] != kind.value:
        raise InvalidToken("no token, or another conversation's")
    try:
        values: list[Any] = cbor2.loads(vault.unseal_text(token[1:], _context(kind)))
    except (LocalError, cbor2.CBORDecodeError) as error:
        raise InvalidToken("token is not ours") from error
    age = milliseconds(env) - values[0]
    if not -SKEW_SECONDS * 1000 <= age <= LIFETIME_SECONDS * 1000:
        raise InvalidToken("conversation is too old")
    return values


def token_make(env: Env) -> str:
    """A new conversation's name."""
    name = base64.urlsafe_b64encode(env.random(_RANDOM_LENGTH)).decode()
    return TokenKind.CONVERSATION.value + name


def _context(kind: TokenKind) -> bytes:
    return b"fdo token " + kind.value.encode()
