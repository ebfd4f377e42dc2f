"""Service info: what the owner configures on a device in messages 68 and 69 of TO2 (FDO 1.1 section 3.8).

Owner: keep an ``OwnerModules`` (frozen, in the session), give each message 68 to ``advance``.
Device: ``device.DeviceModules``.
"""

from __future__ import annotations

from bootstrap.protocols.fdo.service_info.actions import (
    Action,
    ActionResult,
    Command,
    Csr,
    Download,
    Upload,
    Wget,
)
from bootstrap.protocols.fdo.service_info.csr import CsrAuthority
from bootstrap.protocols.fdo.service_info.devmod import Devmod
from bootstrap.protocols.fdo.service_info.kv import KV, service_info_limit
from bootstrap.protocols.fdo.service_info.owner import Round, aborted, advance
from bootstrap.protocols.fdo.service_info.quirks import Quirks, quirks_of
from bootstrap.protocols.fdo.service_info.state import ActionsOf, OwnerModules

__all__ = [
    "KV",
    "Action",
    "ActionResult",
    "ActionsOf",
    "Command",
    "Csr",
    "CsrAuthority",
    "Devmod",
    "Download",
    "OwnerModules",
    "Quirks",
    "Round",
    "Upload",
    "Wget",
    "aborted",
    "advance",
    "quirks_of",
    "service_info_limit",
]
