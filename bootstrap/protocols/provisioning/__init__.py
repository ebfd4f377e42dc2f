"""Provisioning: after bootstrapping, a device fetches its plan, applies it and confirms it.

Our own protocol, version 1, the same over HTTPS and CoAP: docs/reference/provisioning.md.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from bootstrap.protocols.provisioning.constants import ERROR_CODES, MAX_REQUEST_LENGTH, ItemKind, RefusalCode
from bootstrap.protocols.provisioning.crypto import derive, key_id
from bootstrap.protocols.provisioning.items import PlanItem
from bootstrap.protocols.provisioning.messages import Ack, ItemResult, PlanDocument, Refusal
from bootstrap.protocols.provisioning.server import Facts, Material, ProvisioningState, step
from bootstrap.wire import cose

SPEC: Final = MappingProxyType[str, Any](
    {
        "slug": "provisioning",
        "title": "Provisioning over COSE",
        "references": ("docs/reference/provisioning.md", "RFC 9052", "RFC 5869"),
        "routes": {"https": "POST /provision/<locator>", "coap": "POST /provision/<locator>"},
        "media_type": cose.MEDIA_TYPE,
        "coap_content_format": cose.COAP_CONTENT_FORMAT,
        "max_request_length": MAX_REQUEST_LENGTH,
        "strangers": False,
        "initial": ProvisioningState,
        "step": step,
    }
)
"""What doors, bindings and the generated reference pages need to know."""

__all__ = [
    "ERROR_CODES",
    "SPEC",
    "Ack",
    "Facts",
    "ItemKind",
    "ItemResult",
    "Material",
    "PlanDocument",
    "PlanItem",
    "ProvisioningState",
    "Refusal",
    "RefusalCode",
    "derive",
    "key_id",
    "step",
]
