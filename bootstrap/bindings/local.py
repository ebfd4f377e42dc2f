"""A person's input to the same machine that devices speak to: opened, stepped and committed in the caller's
Django transaction, with policies fresh from the database."""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.bindings.directory import Directory, OrganizationPolicy
from bootstrap.bindings.eap import EapBinding, EapState
from bootstrap.bindings.problems import ClaimProblem, ClaimRefused
from bootstrap.contract import Env, Milestone, Note, Outcome, Reply
from bootstrap.engine import envelope
from bootstrap.engine.service import deliver
from bootstrap.engine.store import Record
from bootstrap.errors import UnknownDevice
from bootstrap.protocols.eap_noob import server as noob


class LocalBinding(EapBinding):
    """The EAP binding without a thread that follows the directory."""

    def policy(self, organization_id: int) -> OrganizationPolicy:
        """The organization's policy, fresh."""
        self._directory.refresh()
        return self._directory.current.policy(organization_id)

    def forget(self) -> None:
        """Start from an empty directory, as a new process does."""
        self._directory = Directory()


BINDING = LocalBinding(Directory())


def facts_for(organization_id: int) -> noob.Facts:
    """What the OOB step of this organization's people may know."""
    policy = BINDING.policy(organization_id)
    return noob.Facts(oob_retries=policy.oob_retries, noob_timeout_seconds=policy.noob_timeout_seconds)


def state_of(record: Record) -> EapState:
    """The state inside a row."""
    return BINDING.thaw(envelope.unseal(record.state, record.protocol, record.locator).state)


def outcome_of(
    current: EapState,
    association: noob.ServerAssociation,
    notes: tuple[Note, ...],
    milestone: Milestone | None = None,
) -> Outcome[EapState]:
    """What a local event leads to: another association, and no reply."""
    state = EapState(current.identifier, association, current.nai, current.provisioning)
    phase = noob.NoobStep(association).phase
    return Outcome(state, Reply(b""), notes, milestone, phase=phase)


def deliver_local(
    session_id: int, step: Callable[[EapState, Record, Env], Outcome[EapState]], env: Env, **columns: int
) -> None:
    """Step and commit; raises ClaimRefused when the session is gone."""
    try:
        deliver(BINDING, session_id, step, env, **columns)
    except UnknownDevice as error:
        raise ClaimRefused(ClaimProblem.UNKNOWN_DEVICE) from error
