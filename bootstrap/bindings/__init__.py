"""One small file per protocol: which facts to hand in, what to keep, plan to the protocol's payload.

``bindings()`` is the explicit list: a protocol is one folder, one file here, and one line below.
"""

from __future__ import annotations

from bootstrap.bindings.directory import Directory
from bootstrap.bindings.eap import EapBinding
from bootstrap.bindings.fdo.di import FdoDiBinding
from bootstrap.bindings.fdo.limits import BeginningLimits
from bootstrap.bindings.fdo.owner import FdoOwnerBinding
from bootstrap.bindings.fdo.rendezvous import FdoRendezvousBinding
from bootstrap.bindings.provisioning import ProvisioningBinding
from bootstrap.engine.binding import Binding


def bindings(directory: Directory) -> dict[str, Binding]:
    """Every protocol, by the name that doors call it."""
    limits = BeginningLimits()
    every: tuple[Binding, ...] = (
        EapBinding(directory),
        ProvisioningBinding(directory),
        FdoDiBinding(directory, limits),
        FdoRendezvousBinding(directory, limits),
        FdoOwnerBinding(directory, limits),
    )
    return {binding.slug: binding for binding in every}
