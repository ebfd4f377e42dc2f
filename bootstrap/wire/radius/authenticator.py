"""Who made this packet: Message-Authenticator (RFC 3579 section 3.2), Response Authenticator (RFC 2865).

Message-Authenticator is the first attribute of all we send: before anything that a forger of MD5 collisions
could choose (Blast-RADIUS, CVE-2024-3596).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace

from bootstrap.errors import NotAuthenticated
from bootstrap.wire.radius.packet import (
    MESSAGE_AUTHENTICATOR_LENGTH,
    Attribute,
    AttributeType,
    Code,
    Packet,
)

_BLANK_MESSAGE_AUTHENTICATOR = Attribute(
    AttributeType.MESSAGE_AUTHENTICATOR, bytes(MESSAGE_AUTHENTICATOR_LENGTH)
)


def access_request(
    identifier: int, authenticator: bytes, attributes: Iterable[Attribute], secret: bytes
) -> Packet:
    """A signed Access-Request; ``authenticator`` is 16 fresh random octets (RFC 2865 section 3)."""
    return _signed_request(Code.ACCESS_REQUEST, identifier, authenticator, attributes, secret)


def status_server(identifier: int, authenticator: bytes, secret: bytes) -> Packet:
    """A signed Status-Server, "are you there" (RFC 5997 section 3)."""
    return _signed_request(Code.STATUS_SERVER, identifier, authenticator, (), secret)


def _signed_request(
    code: Code, identifier: int, authenticator: bytes, attributes: Iterable[Attribute], secret: bytes
) -> Packet:
    packet = Packet(code, identifier, authenticator, (_BLANK_MESSAGE_AUTHENTICATOR, *attributes))
    return _sealed(packet, authenticator, secret)


def verify_request(request: Packet, secret: bytes) -> None:
    """Demand a right Message-Authenticator (RFC 3579 section 3.2, RFC 5997). Raises NotAuthenticated."""
    _verify_message_authenticator(request, request.authenticator, secret)


def reply_to(request: Packet, code: Code, attributes: Iterable[Attribute], secret: bytes) -> Packet:
    """The signed reply: Message-Authenticator, ``attributes``, then the request's Proxy-States in order.

    Message-Authenticator is filled before the Response Authenticator is computed (RFC 3579 section 3.2);
    Proxy-States are returned unchanged (RFC 2865 section 5.33), except to a Status-Server, whose
    attributes MUST be ignored (RFC 5997 section 3).
    """
    echoed: tuple[Attribute, ...] = ()
    if request.code is Code.ACCESS_REQUEST:
        echoed = tuple(a for a in request.attributes if a.type == AttributeType.PROXY_STATE)
    blank = (_BLANK_MESSAGE_AUTHENTICATOR, *attributes, *echoed)
    reply = _sealed(
        Packet(code, request.identifier, request.authenticator, blank), request.authenticator, secret
    )
    return replace(reply, authenticator=response_authenticator(reply, request.authenticator, secret))


def verify_reply(reply: Packet, request: Packet, secret: bytes) -> None:
    """Demand identifier, Response Authenticator and Message-Authenticator. Raises NotAuthenticated."""
    if reply.identifier != request.identifier:
        raise NotAuthenticated("the reply is to another request")
    right = response_authenticator(reply, request.authenticator, secret)
    if not hmac.compare_digest(right, reply.authenticator):
        raise NotAuthenticated("wrong Response Authenticator")
    _verify_message_authenticator(reply, request.authenticator, secret)


def response_authenticator(reply: Packet, request_authenticator: bytes, secret: bytes) -> bytes:
    """MD5(Code + ID + Length + RequestAuth + Attributes + Secret), RFC 2865 section 3."""
    return md5(replace(reply, authenticator=request_authenticator).encode() + secret)


def _verify_message_authenticator(packet: Packet, request_authenticator: bytes, secret: bytes) -> None:
    received = packet.value(AttributeType.MESSAGE_AUTHENTICATOR)
    if received is None:
        raise NotAuthenticated("no Message-Authenticator")
    right = _message_authenticator(packet, request_authenticator, secret)
    if not hmac.compare_digest(right, received):
        raise NotAuthenticated("wrong Message-Authenticator")


def _message_authenticator(packet: Packet, request_authenticator: bytes, secret: bytes) -> bytes:
    """HMAC-MD5 of the packet, the one Message-Authenticator zeroed in its place (RFC 3579 section 3.2)."""
    zeroed = tuple(
        _BLANK_MESSAGE_AUTHENTICATOR if a.type == AttributeType.MESSAGE_AUTHENTICATOR else a
        for a in packet.attributes
    )
    octets = replace(packet, authenticator=request_authenticator, attributes=zeroed).encode()
    return hmac.digest(secret, octets, "md5")


def _sealed(packet: Packet, request_authenticator: bytes, secret: bytes) -> Packet:
    """``packet``, whose first attribute is the blank Message-Authenticator, with that one filled."""
    right = _message_authenticator(packet, request_authenticator, secret)
    return replace(
        packet, attributes=(Attribute(AttributeType.MESSAGE_AUTHENTICATOR, right), *packet.attributes[1:])
    )


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
