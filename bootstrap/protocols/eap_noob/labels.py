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
    """The labels we know among the members of PeerInfo: strings only, printable, cut at 64 characters.

    ``Provisioning`` is our own member: 1 says that the peer will fetch a plan
    (docs/reference/provisioning.md).
    """
    members = json.loads(peer_info)
    found = {}
    for label, member in _LABELS.items():
        value = members.get(member)
        if isinstance(value, str):
            text = "".join(c for c in value if c.isprintable()).strip()[:LABEL_MAX_LENGTH]
            if text:
                found[label] = text
    if members.get("Provisioning") == 1 and members["Provisioning"] is not True:
        found["provisioning"] = "1"
    return found


def server_url(server_info: str) -> str | None:
    """ServerURL of ServerInfo: None when absent, empty when it is no string."""
    value = json.loads(server_info).get("ServerURL")
    return value if isinstance(value, str) or value is None else ""
