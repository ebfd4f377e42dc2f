"""FIDO Device Onboard 1.1: a device finds its owner through a voucher that was signed on at every sale."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from .constants import ERROR_CODES, MESSAGE_MAX_LENGTH, PROTOCOL_VERSION, ErrorCode, MessageType, error_code

SPEC: Final = MappingProxyType[str, Any](
    {
        "slug": "fdo",
        "title": "FIDO Device Onboard",
        "references": ("FIDO Device Onboard 1.1", "RFC 9052", "RFC 9711"),
        "routes": {"https": "POST /fdo/101/msg/<n>", "coap": "POST /fdo/101/msg/<n>"},
        "media_type": "application/cbor",
        "coap_content_format": 60,
        "max_request_length": MESSAGE_MAX_LENGTH,
        "strangers": False,
    }
)

__all__ = [
    "ERROR_CODES",
    "PROTOCOL_VERSION",
    "SPEC",
    "ErrorCode",
    "MessageType",
    "error_code",
]
