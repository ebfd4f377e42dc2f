"""EAP between the doors and a method: identity, method choice, Nak, identifiers (RFC 3748), and the
conversation's token. The only method so far is EAP-NOOB; its facts are in bootstrap/bindings/eap_noob.py.

The opening costs no row: the token that answers an identity is sealed and holds the identity itself. The
same token stays the conversation's name to its end, so a made-up one costs no query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cbor2

from bootstrap.bindings import eap_noob
from bootstrap.bindings.directory import Directory
from bootstrap.contract import Env, Inbound, Outcome, Reply, Verdict
from bootstrap.engine.binding import Effects, Received, token_digest
from bootstrap.engine.store.contract import Record
from bootstrap.errors import LocalError, MalformedMessage, UnexpectedMessage, UnknownDevice
from bootstrap.protocols.eap_noob import server as noob
from bootstrap.protocols.provisioning import ProvisioningState
from bootstrap.wire.eap import EapCode, EapPacket, EapType, failure, request, success
from bootstrap.wire.frozen import freeze, thaw
from devices import vault

OPENING_SECONDS = 300
"""How long one conversation may take from identity to end."""
NAI_MAX_LENGTH = 128
"""Octets; RFC 7542 allows 253, but the sealed identity must fit RADIUS State (253 octets)."""
_CONTEXT = b"eap opening"


@dataclass(frozen=True, slots=True)
class EapState:
    """The EAP layer's identifier beside the method's association."""

    identifier: int
    association: noob.ServerAssociation
    nai: str = ""
    provisioning: bytes = field(default=b"", repr=False)
    """Provisioning key of the last success, so that the next one can keep it valid for a while."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a token holds."""

    opened_at: int
    identifier: int
    nai: str
    organization_id: int | None
    failed: bool = False
    """The conversation was refused before it had a session; whatever comes now ends in EAP-Failure."""

    def seal(self) -> str:
        """As text for Location or State."""
        values = [self.opened_at, self.identifier, self.nai, self.organization_id, self.failed]
        return vault.seal_text(cbor2.dumps(values), _CONTEXT)

    @classmethod
    def unseal(cls, token: str, env: Env) -> Opening:
        """Raises UnknownDevice for a token that is not ours or too old."""
        try:
            opening = cls(*cbor2.loads(vault.unseal_text(token, _CONTEXT)))
        except (LocalError, cbor2.CBORDecodeError, TypeError, ValueError) as error:
            raise UnknownDevice("token is not ours") from error
        if not -60 <= env.now.timestamp() - opening.opened_at <= OPENING_SECONDS:
            raise UnknownDevice("conversation is too old")
        return opening


@dataclass(frozen=True, slots=True)
class _Response:
    """One EAP response, decoded down to the method."""

    opening: Opening
    identifier: int
    message: Any
    error: MalformedMessage | None = None


class EapBinding:
    """EAP as the engine sees it."""

    slug = "eap"
    protocol = eap_noob.PROTOCOL

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def receive(self, inbound: Inbound, env: Env) -> Received:
        """Identity opens; a type 56 response goes on; Nak ends; everything else is an error."""
        packet = EapPacket.decode(inbound.body)
        if packet.code is not EapCode.RESPONSE:
            raise UnexpectedMessage(f"EAP {packet.code.name} from a peer")
        if not inbound.token:
            return self._open(packet, inbound, env)
        opening = Opening.unseal(inbound.token, env)
        if opening.failed:
            return Received(reply=_failed(packet.identifier))
        if packet.type == EapType.NAK:
            if packet.identifier != opening.identifier:
                raise UnexpectedMessage("Nak in the middle of a method")
            return Received(reply=_failed(packet.identifier))
        if packet.type != EapType.NOOB:
            raise UnexpectedMessage(f"EAP type {packet.type} is not under way")
        return self._method(packet, opening, inbound)

    def _open(self, packet: EapPacket, inbound: Inbound, env: Env) -> Received:
        if packet.type != EapType.IDENTITY:
            raise UnexpectedMessage("a conversation opens with the identity")
        nai = _nai(packet.data)
        if nai is None or not eap_noob.serves(nai):
            return Received(reply=_failed(packet.identifier))
        identifier = (packet.identifier + 1) % 256
        organization = inbound.organization_id or self._realm_owner(nai)
        opening = Opening(int(env.now.timestamp()), identifier, nai, organization)
        body = request(identifier, EapType.NOOB, noob.start()).encode()
        return Received(reply=Reply(body, token=opening.seal()))

    def _realm_owner(self, nai: str) -> int | None:
        realm = self._directory.current.realm(nai)
        return realm.organization_id if realm else None

    def _method(self, packet: EapPacket, opening: Opening, inbound: Inbound) -> Received:
        error, message = None, None
        try:
            message = noob.decode(packet.data)
        except MalformedMessage as malformed:
            error = malformed
        return Received(
            message=_Response(opening, packet.identifier, message, error),
            token=inbound.token,
            locator=eap_noob.peer_id(message),
            may_open=packet.identifier == opening.identifier,
            organization_id=opening.organization_id,
        )

    def initial(self, received: Received, inbound: Inbound) -> EapState:
        """A stranger's: no association yet."""
        opening = received.message.opening
        return EapState(opening.identifier, noob.initial_state(), opening.nai)

    def thaw(self, blob: bytes) -> EapState:
        """From the store."""
        identifier, nai, provisioning, association = cbor2.loads(blob)
        return EapState(identifier, thaw(noob.ServerAssociation, association), nai, provisioning)

    def freeze(self, state: EapState) -> bytes:
        """For the store."""
        return cbor2.dumps([state.identifier, state.nai, state.provisioning, freeze(state.association)])

    def step(
        self, state: EapState, received: Received, record: Record, material: bytes, env: Env
    ) -> Outcome[EapState]:
        """One response to the next request, Success or Failure."""
        response: _Response = received.message
        snapshot = self._directory.current
        opening = response.opening
        # Once a conversation has its session, a late copy of its opening must not open another one.
        fresh = record.token != token_digest(received.token)
        begins = fresh and response.identifier == opening.identifier and eap_noob.begins(response.message)
        if not begins and response.identifier != state.identifier:
            raise UnexpectedMessage(f"identifier {response.identifier}, not {state.identifier}")
        nai = opening.nai
        facts = eap_noob.facts(snapshot, record, state.association, nai, env)
        if response.error is not None:
            done = noob.refuse(state.association, response.error)
        else:
            done = noob.step(state.association, response.message, nai, facts, env)
            done = eap_noob.owned(done, state.association, record)
        identifier = (response.identifier + 1) % 256
        following, provisioning = eap_noob.following(done, state.provisioning)
        return Outcome(
            state=EapState(identifier, done.state, nai, provisioning),
            reply=_reply(done, response.identifier, identifier, opening),
            notes=done.notes,
            milestone=done.milestone,
            locator=done.locator,
            phase=done.phase,
            labels=done.labels,
            next=following,
            keep=done.keep,
        )

    def apply(self, record: Record, outcome: Outcome[EapState], env: Env) -> Effects:
        """Expiry, when it checks in again, and the device's shown state."""
        policy = self._directory.current.policy(record.organization_id)
        return eap_noob.effects(record, outcome, outcome.state.association, policy, env)

    def initial_of(self, protocol: str) -> bytes:
        """The provisioning session that a success opens."""
        if protocol != "provisioning":
            raise LocalError(f"EAP opens no {protocol} session")
        return freeze(ProvisioningState())


def _nai(data: bytes) -> str | None:
    """The identity as text, or None when it is none we can keep."""
    if len(data) > NAI_MAX_LENGTH:
        return None
    try:
        text = data.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _failed(identifier: int) -> Reply:
    return Reply(failure(identifier).encode(), Verdict.REJECT)


def _reply(done: noob.NoobStep, answered: int, identifier: int, opening: Opening) -> Reply:
    """Success and Failure carry the identifier of the response they answer (RFC 3748 section 4.2)."""
    if done.result is noob.Result.SUCCESS:
        msk = done.keys.msk if done.keys else b""
        return Reply(success(answered).encode(), Verdict.ACCEPT, msk=msk)
    if done.result is noob.Result.FAILURE or done.request is None:
        return _failed(answered)
    body = request(identifier, EapType.NOOB, done.request).encode()
    if done.keep:
        return Reply(body)
    token = Opening(opening.opened_at, identifier, opening.nai, None, failed=True).seal()
    return Reply(body, token=token)
