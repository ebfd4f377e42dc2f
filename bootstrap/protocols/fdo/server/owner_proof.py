"""TO2, messages 60 to 65: the owner shows the voucher, the device proves its key (sections 5.5.2 to 5.5.7)."""

from __future__ import annotations

from dataclasses import replace
from hmac import compare_digest

from bootstrap.contract import Env, Level, Milestone, Outcome, Reply
from bootstrap.errors import MalformedMessage, NotAuthenticated, UnexpectedMessage
from bootstrap.wire.keys import KeyKind, default_algorithm

from ..constants import MESSAGE_MAX_LENGTH, NONCE_LENGTH, MessageType, ResourceNotFound, SigType
from ..crypto.hashes import HashType, digest
from ..crypto.kex import KexSuite, owner_begin, suites_for
from ..crypto.session import CipherSuite
from ..messages import GetOvNextEntry, HelloDevice, OvNextEntry, ProveDevice, ProveOvHdr, SetupDevice
from ..primitives import Hash
from ..voucher import Voucher
from .outcome import noted
from .replacement import Offer, offer, owner_signer
from .session import key_agreed, sealed
from .state import OwnerFacts, OwnerState, without_run

_SIG_TYPES: dict[KeyKind, frozenset[int]] = {
    KeyKind.P256: frozenset({SigType.ES256}),
    KeyKind.P384: frozenset({SigType.ES384}),
    KeyKind.RSA2048: frozenset({SigType.RS256, SigType.RS384, SigType.PS256, SigType.PS384}),
    KeyKind.RSA3072: frozenset({SigType.RS256, SigType.RS384, SigType.PS256, SigType.PS384}),
}


def hello_device(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """60 to 61, from any state: whatever was under way is forgotten. One signature and one key pair, after
    everything that can be refused without them.

    Raises ResourceNotFound when we cannot speak for this device, UnexpectedMessage for suites that do not go
    with its voucher.
    """
    hello = HelloDevice.decode(body)
    if hello.guid != facts.guid:
        raise ResourceNotFound("message 60 names another device")
    voucher = facts.voucher()
    if not voucher.raw_entries:
        raise ResourceNotFound("a voucher of zero entries is not served: extend it first")
    signer, key = owner_signer(voucher, facts)
    suite = _negotiated(hello, key.handle().kind, voucher.device_key.kind)
    private, x_a = owner_begin(suite, env.random)
    fresh = replace(
        restarted(state),
        stage=int(MessageType.TO2_HELLO_DEVICE),
        entries=len(voucher.raw_entries),
        max_message=hello.max_device_message_size or MESSAGE_MAX_LENGTH,
        kex_suite=suite.value,
        cipher_suite=hello.cipher_suite,
        kex_private=private,
        nonce_prove_dv=env.random(NONCE_LENGTH),
    )
    hash_type = HashType(voucher.hash_type)
    prove = ProveOvHdr(
        header=voucher.header.encode(),
        num_entries=fresh.entries,
        hmac=voucher.hmac,
        nonce=hello.nonce,
        sig_info=hello.sig_info,
        x_a=x_a,
        hello_hash=Hash(hash_type, digest(hash_type, body)),
        max_owner_message_size=facts.max_message,
        prove_dv_nonce=fresh.nonce_prove_dv,
        owner_public_key=key,
    )
    reply = prove.sign(signer, key.algorithm()).encode()
    note = noted(
        MessageType.TO2_HELLO_DEVICE,
        body,
        reply,
        kex=suite.value,
        cipher=CipherSuite(hello.cipher_suite).name,
        entries=fresh.entries,
        max_message=fresh.max_message,
        again=int(state.stage not in (0, MessageType.TO2_DONE)),
    )
    return Outcome(state=fresh, reply=Reply(reply), notes=(note,), phase=fresh.phase)


def restarted(state: OwnerState) -> OwnerState:
    """The state for a new run: what was under way is gone, what it taught stays."""
    died_at_65 = state.stage == MessageType.TO2_PROVE_DEVICE
    return replace(without_run(state), unopened=state.unopened + died_at_65)


def _negotiated(hello: HelloDevice, owner: KeyKind, device: KeyKind) -> KexSuite:
    """The key exchange, if it and the rest of what the device wants goes with the keys (table in 3.6.2)."""
    if hello.sig_info.type not in _SIG_TYPES[device]:
        raise UnexpectedMessage(f"signatures of type {hello.sig_info.type} by a {device.value} key")
    if hello.cipher_suite not in {int(cipher) for cipher in CipherSuite}:
        raise UnexpectedMessage(f"cipher suite {hello.cipher_suite} is not served")
    for suite in suites_for(owner):
        if suite.value == hello.kex_suite:
            return suite
    raise UnexpectedMessage(f"key exchange {hello.kex_suite!r} does not go with a {owner.value} owner key")


def next_entry(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """62 to 63: the entries, each once and in order. Raises UnexpectedMessage for any other."""
    asked = GetOvNextEntry.decode(body)
    entries = facts.voucher().raw_entries
    if asked.number != state.next_entry or asked.number >= state.entries:
        raise UnexpectedMessage(
            f"entry {asked.number} asked for, {state.next_entry} of {state.entries} is next"
        )
    if len(entries) != state.entries:
        raise UnexpectedMessage("the voucher was extended while the device was reading it")
    reply = OvNextEntry(asked.number, entries[asked.number]).encode()
    after = replace(state, stage=int(MessageType.TO2_GET_OV_NEXT_ENTRY), next_entry=state.next_entry + 1)
    note = noted(MessageType.TO2_GET_OV_NEXT_ENTRY, body, reply, entry=asked.number, entries=state.entries)
    return Outcome(state=after, reply=Reply(reply), notes=(note,), phase=after.phase)


def prove_device(state: OwnerState, body: bytes, facts: OwnerFacts, env: Env) -> Outcome[OwnerState]:
    """64 to 65: the device's EAT, then its next credential. One signature, one verification, one agreement.

    Raises NotAuthenticated unless the key in the voucher's device certificate signed over our nonce.
    """
    if state.next_entry != state.entries:
        raise UnexpectedMessage(f"the device has {state.next_entry} of {state.entries} entries")
    proof = ProveDevice.decode(body)
    voucher = facts.voucher()
    _must_prove(proof, state, voucher, facts)
    agreed = key_agreed(state, proof.x_b, owner_signer(voucher, facts)[0])
    made = offer(state, voucher, facts, env)
    setup = SetupDevice(made.header.rvinfo, made.header.guid, proof.setup_dv_nonce, made.key)
    plaintext = setup.sign(made.signer, made.key.algorithm()).encode()
    after = _with_offer(
        replace(agreed, stage=int(MessageType.TO2_PROVE_DEVICE), nonce_setup_dv=proof.setup_dv_nonce),
        made,
    )
    note = noted(
        MessageType.TO2_PROVE_DEVICE,
        body,
        plaintext,
        Level.SUCCESS,
        algorithm=default_algorithm(voucher.device_key.kind) if proof.envelope is None else proof.algorithm,
        reuse=int(made.reuse),
        guid=made.header.guid.hex(),
        dialect=after.dialect,
    )
    return Outcome(
        state=after,
        reply=Reply(sealed(after, plaintext, env)),
        notes=(note,),
        milestone=Milestone.BOOTSTRAPPED,
        phase=after.phase,
    )


def _must_prove(proof: ProveDevice, state: OwnerState, voucher: Voucher, facts: OwnerFacts) -> None:
    if proof.guid != facts.guid or not compare_digest(proof.nonce, state.nonce_prove_dv):
        raise NotAuthenticated("EAT of another device or another run")
    try:
        proof.verify(voucher.device_key)
    except MalformedMessage as error:
        raise NotAuthenticated("EAT names no algorithm that fits the device's key") from error


def _with_offer(state: OwnerState, made: Offer) -> OwnerState:
    if made.reuse:
        return replace(state, reuse=True)
    return replace(state, reuse=False, guid2=made.header.guid, header2=made.header.encode())
