"""The Entity Attestation Token by which a device proves its key: a COSE_Sign1 over a small map of claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bootstrap.errors import MalformedMessage
from bootstrap.wire import cbor
from bootstrap.wire.cose import Sign1

from .. import grammar
from ..constants import (
    EAT_FDO,
    EAT_NONCE,
    EAT_UEID,
    EUPH_NONCE,
    GUID_LENGTH,
    NONCE_LENGTH,
    UEID_LENGTH,
    UEID_TYPE_RAND,
)


@dataclass(frozen=True, slots=True)
class Eat:
    """The claims FDO knows: 10 nonce, 256 ueid, -257 FDO's own; and the unprotected label -259."""

    nonce: bytes
    guid: bytes
    fdo: list[Any] | None = None
    euph_nonce: bytes | None = None

    @classmethod
    def of(cls, envelope: Sign1) -> Eat:
        """Read, not verified. Raises MalformedMessage; claims and labels that FDO does not name are passed over."""
        claims = cbor.decode(envelope.payload)
        if not isinstance(claims, dict):
            raise MalformedMessage("the claims of the EAT are not a map")
        ueid = grammar.bstr(claims.get(EAT_UEID), "ueid", length=UEID_LENGTH)
        if ueid[0] != UEID_TYPE_RAND:
            raise MalformedMessage(f"ueid of type {ueid[0]}")
        fdo = claims.get(EAT_FDO)
        euph_nonce = envelope.unprotected.get(EUPH_NONCE)
        return cls(
            grammar.bstr(claims.get(EAT_NONCE), "EAT nonce", length=NONCE_LENGTH),
            ueid[-GUID_LENGTH:],
            None if fdo is None else grammar.array(fdo, "FDO claim", 0, 8),
            None if euph_nonce is None else grammar.bstr(euph_nonce, "EUPHNonce", length=NONCE_LENGTH),
        )

    def payload(self) -> bytes:
        """The claims, encoded."""
        claims: dict[int, Any] = {EAT_NONCE: self.nonce, EAT_UEID: bytes([UEID_TYPE_RAND]) + self.guid}
        if self.fdo is not None:
            claims[EAT_FDO] = self.fdo
        return cbor.encode(claims)

    def unprotected(self) -> dict[int, Any]:
        return {} if self.euph_nonce is None else {EUPH_NONCE: self.euph_nonce}
