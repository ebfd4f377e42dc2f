"""EAP packets inside RADIUS packets (RFC 3579 sections 2.1 and 3.1)."""

from __future__ import annotations

from bootstrap.errors import MalformedMessage
from bootstrap.wire.radius.packet import MAX_VALUE_LENGTH, Attribute, AttributeType, Packet

_OTHER_CREDENTIALS = (AttributeType.USER_PASSWORD, AttributeType.CHAP_PASSWORD, AttributeType.ARAP_PASSWORD)


def eap_attributes(eap_packet: bytes) -> tuple[Attribute, ...]:
    """One EAP packet as consecutive EAP-Messages of up to 253 octets (RFC 3579 section 3.1)."""
    cuts = range(0, len(eap_packet), MAX_VALUE_LENGTH)
    return tuple(Attribute(AttributeType.EAP_MESSAGE, eap_packet[at : at + MAX_VALUE_LENGTH]) for at in cuts)


def eap_message(packet: Packet) -> bytes | None:
    """The EAP packet inside; None without one, empty for EAP-Start (RFC 3579 section 2.1).

    Raises MalformedMessage unless the EAP-Messages are consecutive, filled (a lone empty one is EAP-Start)
    and the only credentials (RFC 3579 sections 3.1 and 3.3).
    """
    places = [i for i, a in enumerate(packet.attributes) if a.type == AttributeType.EAP_MESSAGE]
    if not places:
        return None
    if places[-1] - places[0] != len(places) - 1:
        raise MalformedMessage("EAP-Message attributes are not consecutive")
    values = packet.values(AttributeType.EAP_MESSAGE)
    if len(values) > 1 and not all(values):
        raise MalformedMessage("an empty EAP-Message among others")
    if any(packet.values(other) for other in _OTHER_CREDENTIALS):
        raise MalformedMessage("EAP-Message beside another kind of credential")
    return b"".join(values)
