"""RADIUS as far as EAP needs it: RFC 2865, RFC 3579 (EAP), RFC 2548 (MPPE keys), RFC 5997 (Status-Server)."""

from bootstrap.wire.radius.authenticator import (
    access_request,
    reply_to,
    response_authenticator,
    status_server,
    verify_reply,
    verify_request,
)
from bootstrap.wire.radius.eap_message import eap_attributes, eap_message
from bootstrap.wire.radius.mppe import MicrosoftType, MppeKeys, mppe_keys, open_key, seal_key
from bootstrap.wire.radius.packet import (
    MAX_PACKET_LENGTH,
    MAX_VALUE_LENGTH,
    Attribute,
    AttributeType,
    Code,
    Packet,
    nas_address,
)

__all__ = [
    "MAX_PACKET_LENGTH",
    "MAX_VALUE_LENGTH",
    "Attribute",
    "AttributeType",
    "Code",
    "MicrosoftType",
    "MppeKeys",
    "Packet",
    "access_request",
    "eap_attributes",
    "eap_message",
    "mppe_keys",
    "nas_address",
    "open_key",
    "reply_to",
    "response_authenticator",
    "seal_key",
    "status_server",
    "verify_reply",
    "verify_request",
]
