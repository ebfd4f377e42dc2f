"""One small file per protocol: which facts to hand in, what to keep, plan to the protocol's payload.

``bindings()`` is the explicit list: a protocol is one folder, one file here, and one line below.
"""

from __future__ import annotations

from bootstrap.bindings.directory import Directory
from bootstrap.bindings.eap import EapBinding
from bootstrap.bindings.provisioning import ProvisioningBinding
from bootstrap.engine.binding import Binding


def bindings(directory: Directory) -> dict[str, Binding]:
    """Every protocol, by the name that doors call it."""
    every: tuple[Binding, ...] = (
        EapBinding(directory),
        ProvisioningBinding(directory),
    )
    return {binding.slug: binding for binding in every}
