"""COSE_Mac0 (RFC 9052 section 6.2): what is authenticated. Which key and hash, the protocol decides."""

from __future__ import annotations

from bootstrap.wire import cbor

TAG_MAC0 = 0xD1
"""CBOR tag 17 as its single octet."""


def mac_structure(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """MAC_structure (RFC 9052 section 6.3)."""
    return cbor.encode(["MAC0", protected, external_aad, payload])
