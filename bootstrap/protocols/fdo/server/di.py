"""The manufacturer in Device Initialization: a certificate and a voucher header for a device in the factory.

Message 10 stores nothing. What message 12 needs of it is small enough to be sealed into the bearer token; the
rest is made again from the facts, and must come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from hmac import compare_digest

from bootstrap.contract import Env, Level, Outcome, Reply
from bootstrap.errors import LocalError, MalformedMessage, Replayed, UnexpectedMessage
from bootstrap.wire.keys import PublicKeyHandle, Signer
from bootstrap.wire.x509 import issue_device_certificate

from ..constants import GUID_LENGTH, MessageType, ResourceNotFound
from ..crypto.hashes import HashType, digest, hash_type_of, hmac_type_of
from ..messages import AppStart, DiDone, SetCredentials, SetHmac
from ..public_key import PublicKey
from ..voucher import OvHeader
from ..voucher.transfer import chain_hash, extend, new_header, new_voucher
from .outcome import noted, seconds

PENDING_SECONDS = 600
CERTIFICATE_YEARS = 30
"""Devices lie on shelves for years and have no clock; other manufacturers' tools take the same."""
_CERTIFICATE_SERIAL_LENGTH = 16
_LEEWAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DiFacts:
    """What the manufacturer's station has."""

    signer: Signer
    """Manufacturer key."""
    manufacturer_key: PublicKey
    """Its public half, encoded as the voucher will have it."""
    device_ca: Signer
    device_ca_chain: tuple[bytes, ...]
    """DER, the issuing certificate first."""
    rvinfo: bytes
    """RendezvousInfo, encoded."""
    extend_to: tuple[PublicKey, ...] = ()
    """The first owner, if the voucher is to leave the factory in its name."""
    serves: bool = True


@dataclass(frozen=True, slots=True)
class DiPending:
    """Between 11 and 12; sealed into the token."""

    guid: bytes
    certificate: bytes = field(repr=False)
    """The device's own, DER."""
    serial: str
    device_info: str
    header_hash: bytes
    """SHA-256 of the OVHeader that was sent."""
    at: int
    """Unix time."""


@dataclass(frozen=True, slots=True)
class DiState:
    """A device that has left the factory."""

    voucher: bytes = field(default=b"", repr=False)
    """Encoded; extended when the facts named an owner."""
    guid: bytes = b""
    serial: str = ""
    device_info: str = ""
    device_key: bytes = b""
    """SubjectPublicKeyInfo."""
    at: int = 0
    """Unix time."""


def open_(message: AppStart, facts: DiFacts, env: Env) -> tuple[bytes, DiPending]:
    """10 to 11: a certificate for the device's key, and the header of its voucher.

    Raises MalformedMessage without a certificate request, NotAuthenticated for one its own key did not sign.
    """
    if not facts.serves:
        raise ResourceNotFound("the manufacturer role is off")
    info = message.info
    if info is None:
        raise MalformedMessage("DI.AppStart without DeviceMfgInfo: there is no key to certify")
    certificate = issue_device_certificate(
        info.csr,
        facts.device_ca,
        facts.device_ca_chain[0],
        int.from_bytes(env.random(_CERTIFICATE_SERIAL_LENGTH), "big") >> 1 | 1,
        env.now - _LEEWAY,
        env.now + timedelta(days=365 * CERTIFICATE_YEARS),
    )
    guid = env.random(GUID_LENGTH)
    header = _header(guid, certificate, info.device_info, facts).encode()
    pending = DiPending(
        guid, certificate, info.serial, info.device_info, digest(HashType.SHA256, header), seconds(env)
    )
    return SetCredentials(header).encode(), pending


def finish(
    pending: DiPending, message: SetHmac, facts: DiFacts, env: Env, state: DiState | None = None
) -> Outcome[DiState]:
    """12 to 13: the voucher is whole. ``state`` is what this GUID has already, if anything.

    Raises Replayed for a second HMac, UnexpectedMessage when the conversation is too old or the station was
    set up otherwise meanwhile: the device begins again with message 10.
    """
    if not facts.serves:
        raise ResourceNotFound("the manufacturer role is off")
    if state is not None and state.voucher:
        raise Replayed("this device has its credential")
    if not 0 <= seconds(env) - pending.at <= PENDING_SECONDS:
        raise UnexpectedMessage("this conversation was left too long")
    header = _header(pending.guid, pending.certificate, pending.device_info, facts)
    if not compare_digest(digest(HashType.SHA256, header.encode()), pending.header_hash):
        raise UnexpectedMessage("the station's keys or rendezvous have changed since message 11")
    if header.chain_hash is None or message.hmac.type != hmac_type_of(header.chain_hash.type):
        raise UnexpectedMessage(f"HMac of type {message.hmac.type} in a voucher of another width")
    voucher = new_voucher(header.encode(), message.hmac, (pending.certificate, *facts.device_ca_chain))
    if len(facts.extend_to) > 1:
        raise LocalError("the manufacturer signs one transfer of ownership; the next is the owner's to sign")
    for key in facts.extend_to:
        voucher = extend(voucher, facts.signer, key)
    reply = DiDone().encode()
    note = noted(
        MessageType.DI_SET_HMAC,
        message.encode(),
        reply,
        Level.SUCCESS,
        guid=pending.guid.hex(),
        serial=pending.serial,
        device_info=pending.device_info,
        entries=len(voucher.raw_entries),
    )
    made = DiState(
        voucher=voucher.encode(),
        guid=pending.guid,
        serial=pending.serial,
        device_info=pending.device_info,
        device_key=voucher.device_key.der,
        at=seconds(env),
    )
    told = {"serial": pending.serial, "model": pending.device_info}
    return Outcome(
        state=made,
        reply=Reply(reply),
        notes=(note,),
        locator=pending.guid.hex(),
        phase="initialized",
        labels={label: value for label, value in told.items() if value},
    )


def _header(guid: bytes, certificate: bytes, device_info: str, facts: DiFacts) -> OvHeader:
    """The voucher's header. Its hashes are as wide as the smaller of the device's and the owners' keys."""
    device = hash_type_of(PublicKeyHandle.from_certificate(certificate).kind)
    owner = hash_type_of(facts.manufacturer_key.handle().kind)
    width = HashType.SHA256 if HashType.SHA256 in (device, owner) else HashType.SHA384
    return new_header(
        guid=guid,
        rvinfo=facts.rvinfo,
        device_info=device_info,
        key=facts.manufacturer_key,
        chain_hash=chain_hash(width, (certificate, *facts.device_ca_chain)),
    )
