"""The EAP-NOOB messages, types 0 to 9, requests and responses (RFC 9140 section 3.2)."""

from __future__ import annotations

from bootstrap.errors import MalformedMessage
from bootstrap.wire.json_slices import parse_object

from ..constants import MessageType, NoobError, NoobErrorCode
from .base import Message
from .exchanges import (
    CompletionRequest,
    CompletionResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    ErrorNotification,
    KeyExchangeRequest,
    KeyExchangeResponse,
    NegotiationRequest,
    NegotiationResponse,
    NoobIdRequest,
    NoobIdResponse,
    ReconnectCompletionRequest,
    ReconnectCompletionResponse,
    ReconnectKeyRequest,
    ReconnectKeyResponse,
    ReconnectNegotiationRequest,
    ReconnectNegotiationResponse,
    WaitingRequest,
    WaitingResponse,
)
from .members import TYPE, is_nai, is_peer_id

__all__ = [
    "REQUESTS",
    "RESPONSES",
    "CompletionRequest",
    "CompletionResponse",
    "DiscoveryRequest",
    "DiscoveryResponse",
    "ErrorNotification",
    "KeyExchangeRequest",
    "KeyExchangeResponse",
    "Message",
    "NegotiationRequest",
    "NegotiationResponse",
    "NoobIdRequest",
    "NoobIdResponse",
    "ReconnectCompletionRequest",
    "ReconnectCompletionResponse",
    "ReconnectKeyRequest",
    "ReconnectKeyResponse",
    "ReconnectNegotiationRequest",
    "ReconnectNegotiationResponse",
    "WaitingRequest",
    "WaitingResponse",
    "decode_request",
    "decode_response",
    "is_nai",
    "is_peer_id",
]

REQUESTS: dict[int, type[Message]] = {
    cls.TYPE: cls
    for cls in (
        ErrorNotification,
        DiscoveryRequest,
        NegotiationRequest,
        KeyExchangeRequest,
        WaitingRequest,
        NoobIdRequest,
        CompletionRequest,
        ReconnectNegotiationRequest,
        ReconnectKeyRequest,
        ReconnectCompletionRequest,
    )
}
RESPONSES: dict[int, type[Message]] = {
    cls.TYPE: cls
    for cls in (
        ErrorNotification,
        DiscoveryResponse,
        NegotiationResponse,
        KeyExchangeResponse,
        WaitingResponse,
        NoobIdResponse,
        CompletionResponse,
        ReconnectNegotiationResponse,
        ReconnectKeyResponse,
        ReconnectCompletionResponse,
    )
}


def decode_request(type_data: bytes) -> Message:
    """A message of the server. Raises NoobError with the code that section 3.6.1 names."""
    return _decode(type_data, REQUESTS)


def decode_response(type_data: bytes) -> Message:
    """A message of the peer. Raises NoobError with the code that section 3.6.1 names."""
    return _decode(type_data, RESPONSES)


def _decode(type_data: bytes, classes: dict[int, type[Message]]) -> Message:
    try:
        parsed = parse_object(type_data)
    except MalformedMessage as error:
        raise NoobError(NoobErrorCode.INVALID_STRUCTURE, str(error)) from error
    if TYPE not in parsed.values:
        raise NoobError(NoobErrorCode.INVALID_STRUCTURE, "Type is missing")
    number = parsed.values[TYPE]
    if type(number) is not int or number not in MessageType.__members__.values():
        raise NoobError(NoobErrorCode.INVALID_DATA, "Type is no integer of the range 0..9")
    try:
        return classes[number].from_json(parsed)
    except NoobError as error:
        error.message_type = number
        raise
