"""The CoAP door: CoAP-EAP (RFC 9820) and the provisioning resource, over UDP.

In CoAP-EAP the device is the CoAP server after its first message, so this door is a client for most of
an authentication; see ``conversation``. Reference: docs/reference/coap.md.
"""

from __future__ import annotations

from bootstrap.doors.coap.limits import Limits
from bootstrap.doors.coap.server import serve

__all__ = ["Limits", "serve"]
