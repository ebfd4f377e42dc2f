"""Provisioning's facts and consequences: the plan in, results and milestones out."""

from __future__ import annotations

from functools import lru_cache

from bootstrap.bindings.directory import Directory, PlanEntry
from bootstrap.contract import Env, Inbound, Milestone, Outcome
from bootstrap.engine.binding import Effects, Received
from bootstrap.engine.store.contract import Record
from bootstrap.errors import LocalError, MalformedMessage, NotAuthorized
from bootstrap.protocols import provisioning
from bootstrap.wire.frozen import freeze, thaw
from devices.models import DeviceState
from devices.services.plans import FDO_KINDS
from devices.services.progress import Progress

LOCATOR_MAX_LENGTH = 160
CHECK_IN_SECONDS = 3600
"""How soon an operational device says that it is there, and learns of a newer plan."""
_REFUSED = (DeviceState.REVOKED.value, DeviceState.RETIRED.value, DeviceState.SUSPENDED.value)


class ProvisioningBinding:
    """The plan's resource as the engine sees it."""

    slug = "provisioning"
    protocol = "provisioning"

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def receive(self, inbound: Inbound, env: Env) -> Received:
        """The path names the device; what it may read is proven by the key alone."""
        locator = inbound.operation
        if not 0 < len(locator) <= LOCATOR_MAX_LENGTH or not locator.isprintable():
            raise MalformedMessage("no such resource")
        return Received(message=inbound.body, locator=locator)

    def initial(self, received: Received, inbound: Inbound) -> provisioning.ProvisioningState:
        """Never asked for: nobody opens such a session unannounced."""
        raise LocalError("provisioning has no strangers")

    def thaw(self, blob: bytes) -> provisioning.ProvisioningState:
        """From the store."""
        return thaw(provisioning.ProvisioningState, blob)

    def freeze(self, state: provisioning.ProvisioningState) -> bytes:
        """For the store."""
        return freeze(state)

    def step(
        self,
        state: provisioning.ProvisioningState,
        received: Received,
        record: Record,
        material: bytes,
        env: Env,
    ) -> Outcome[provisioning.ProvisioningState]:
        """One sealed request to its sealed answer."""
        if record.device_state in _REFUSED:
            raise NotAuthorized("this device was taken out of service")
        entry = self._directory.current.plan(record.organization_id, record.plan_id)
        facts = provisioning.Facts(
            locator=record.locator,
            material=thaw(provisioning.Material, material),
            plan=document(entry),
            check_in_seconds=CHECK_IN_SECONDS,
        )
        return provisioning.step(state, received.message, facts, env)

    def apply(self, record: Record, outcome: Outcome[provisioning.ProvisioningState], env: Env) -> Effects:
        """What the device's row shows, and whether the worker should look."""
        moved = outcome.milestone in (Milestone.PROVISIONED, Milestone.STUCK) or any(
            note.code == "provisioning.online" for note in outcome.notes
        )
        shown = None
        if record.device_id is not None:
            code = outcome.notes[0].code if outcome.notes else None
            shown = Progress(record.device_id, env.now, step=code)
        return Effects(progress=shown, wake_onboarding=moved)

    def initial_of(self, protocol: str) -> bytes:
        """Nothing follows provisioning yet."""
        raise LocalError(f"provisioning opens no {protocol} session")


NO_PLAN = provisioning.PlanDocument(plan_version=1, items=())
"""What an organization without a plan wants: nothing. The device still confirms and checks in."""


def document(entry: PlanEntry | None) -> provisioning.PlanDocument:
    """A stored plan version as the protocol's own document. Its version is the row's number plus one, so
    that 1 stays "no plan"."""
    if entry is None:
        return NO_PLAN
    return _document(entry.version_id + 1, entry)


@lru_cache(maxsize=256)
def _document(version: int, entry: PlanEntry) -> provisioning.PlanDocument:
    """What only FDO carries stays out; the onboarding says so in the device's results."""
    items = tuple(
        provisioning.PlanItem.build(item["id"], item["kind"], item["value"])
        for item in entry.items
        if item["kind"] not in FDO_KINDS
    )
    return provisioning.PlanDocument(plan_version=version, items=items)
