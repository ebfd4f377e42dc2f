"""What PeerInfo and ServerInfo say, as bounded strings (RFC 9140 section 4). Nothing here is verified."""

from __future__ import annotations

import json

from .constants import LABEL_MAX_LENGTH

_LABELS = {
    "serial": "SerialNumber",
    "manufacturer": "Manufacturer",
    "model": "Model",
    "mac": "MACAddress",
    "name": "PeerName",
}


def of_peer_info(peer_info: str) -> dict[str, str]:
    """The labels we know among the members of PeerInfo: strings only, printable, cut at 64 characters."""
    members = json.loads(peer_info)
    found = {}
    for label, member in _LABELS.items():
        value = members.get(member)
        if isinstance(value, str):
            text = "".join(c for c in value if c.isprintable()).strip()[:LABEL_MAX_LENGTH]
            if text:
                found[label] = text
    return found


def server_url(server_info: str) -> str | None:
    """ServerURL of ServerInfo: None when absent, empty when it is no string."""
    value = json.loads(server_info).get("ServerURL")
    return value if isinstance(value, str) or value is None else ""
