"""Device Initialization: the manufacturer's facts and consequences.

A station is an organization's own path, ``/di/<station>/fdo/101/msg/<n>``; without one, devices are those of the
organization that is the default. Message 10 is answered from memory and costs no row.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from bootstrap.bindings.directory import Directory
from bootstrap.bindings.fdo.limits import BeginningLimits
from bootstrap.bindings.fdo.policy import FdoPolicy, KeyEntry, own_url, rvinfo_of
from bootstrap.bindings.fdo.tokens import TokenKind, milliseconds, token_open, token_seal
from bootstrap.contract import Env, Inbound, Outcome, Reply
from bootstrap.engine.binding import Effects, Received
from bootstrap.engine.store.contract import Record
from bootstrap.errors import LocalError, NotAuthorized
from bootstrap.protocols.fdo.constants import KeyEncoding, KeyType, MessageType, ResourceNotFound
from bootstrap.protocols.fdo.messages import AppStart, SetHmac
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.server import di
from bootstrap.protocols.fdo.server.di import DiFacts, DiPending, DiState
from bootstrap.wire.frozen import freeze, thaw
from bootstrap.wire.keys import KeyKind
from bootstrap.wire.x509 import request_key

PROTOCOL = "fdo-di"
_WANTED: dict[int, tuple[KeyKind, ...]] = {
    KeyType.SECP256R1: (KeyKind.P256,),
    KeyType.SECP384R1: (KeyKind.P384,),
    KeyType.RSA2048RESTR: (KeyKind.RSA2048,),
    KeyType.RSAPKCS: (KeyKind.RSA3072, KeyKind.RSA2048),
    KeyType.RSAPSS: (KeyKind.RSA3072, KeyKind.RSA2048),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What keys a device asks for: pkType and pkEnc, and the kind of its own key, which says the size where the
    type alone does not. Zeros and nothing when it leaves that to the station."""

    key_type: int = 0
    key_encoding: int = 0
    device_kind: str = ""

    @classmethod
    def of(cls, message: AppStart) -> Wish:
        """Raises MalformedMessage and NotAuthenticated for a request that is none."""
        info = message.info
        return cls(info.key_type, info.key_encoding, request_key(info.csr).kind.value) if info else cls()


@dataclass(frozen=True, slots=True)
class _Said:
    """Message 12, with what the token of message 11 holds."""

    message: SetHmac
    pending: DiPending
    wish: Wish


class FdoDiBinding:
    """DI as the engine sees it."""

    slug = "fdo-di"
    protocol = PROTOCOL

    def __init__(self, directory: Directory, limits: BeginningLimits) -> None:
        self._directory = directory
        self._limits = limits

    def receive(self, inbound: Inbound, env: Env) -> Received:
        """10 is answered at once; 12 opens the session. ``operation`` is ``<number>`` or ``<number>/<station>``."""
        number, _slash, station = inbound.operation.partition("/")
        if int(number) == MessageType.DI_APP_START:
            return self._app_start(inbound, station, env)
        _at, organization_id, key_type, key_encoding, device_kind, *values = token_open(
            TokenKind.DI, inbound.token, env
        )
        wish = Wish(key_type, key_encoding, device_kind)
        said = _Said(SetHmac.decode(inbound.body), DiPending(*values), wish)
        return Received(
            said,
            locator=said.pending.guid.hex(),
            may_open=True,
            admitted=True,
            organization_id=organization_id,
        )

    def _app_start(self, inbound: Inbound, station: str, env: Env) -> Received:
        self._limits.source(inbound.source, env.now)
        policy = self._directory.current.di_policy(station)
        if policy is None:
            raise ResourceNotFound("no such station, or none without a name")
        if not policy.lets_initialize(inbound.source):
            raise NotAuthorized("this network may not run DI here")
        message = AppStart.decode(inbound.body)
        wish = Wish.of(message)
        body, pending = di.open_(message, facts(policy, wish), env)
        values = (policy.organization_id, *astuple(wish), *astuple(pending))
        return Received(reply=Reply(body, token=token_seal(TokenKind.DI, milliseconds(env), *values)))

    def initial(self, received: Received, inbound: Inbound) -> DiState:
        """Nothing yet."""
        return DiState()

    def thaw(self, blob: bytes) -> DiState:
        """From the store."""
        return thaw(DiState, blob)

    def freeze(self, state: DiState) -> bytes:
        """For the store."""
        return freeze(state)

    def step(
        self, state: DiState, received: Received, record: Record, material: bytes, env: Env
    ) -> Outcome[DiState]:
        """12 to 13."""
        said: _Said = received.message
        policy = self._directory.current.fdo_policy(received.organization_id)
        return di.finish(said.pending, said.message, facts(policy, said.wish), env, state)

    def apply(self, record: Record, outcome: Outcome[DiState], env: Env) -> Effects:
        """The worker makes it a device with a voucher."""
        return Effects(wake_onboarding=True)

    def initial_of(self, protocol: str) -> bytes:
        """The owner's session comes with the voucher's row."""
        raise LocalError(f"DI opens no {protocol} session")


def facts(policy: FdoPolicy, wish: Wish) -> DiFacts:
    """What the station has for a device with this wish: the type and encoding that all keys of its voucher will have
    (section 3.4.2); the station's own choice where it has no such key.

    Raises ResourceNotFound when the manufacturer role is off or has no keys.
    """
    if not policy.manufacturer_on:
        raise ResourceNotFound("the manufacturer role is off")
    kind = _kind(policy, wish)
    maker, owner = policy.manufacturer_keys.get(kind), policy.owner_keys.get(kind)
    ca = policy.device_cas.get(kind) or next(iter(policy.device_cas.values()), None)
    if maker is None or owner is None or ca is None or ca.certificate is None:
        raise ResourceNotFound("the manufacturer has no keys")
    public = _public(maker, owner, wish.key_type, wish.key_encoding)
    return DiFacts(
        signer=maker.signer,
        manufacturer_key=public,
        device_ca=ca.signer,
        device_ca_chain=(ca.certificate,),
        rvinfo=rvinfo_of(policy.rendezvous_urls or (own_url(),)),
        extend_to=(owner.public(public.encoding, public.type),),
    )


def _kind(policy: FdoPolicy, wish: Wish) -> KeyKind:
    """RSAPKCS and RSAPSS name no size: then it is the device's own, if we have such keys."""
    wanted = _WANTED.get(wish.key_type, ())
    for kind in sorted(wanted, key=lambda kind: kind.value != wish.device_kind):
        if kind in policy.manufacturer_keys and kind in policy.owner_keys:
            return kind
    return policy.di_key_kind


def _public(maker: KeyEntry, owner: KeyEntry, key_type: int, key_encoding: int) -> PublicKey:
    """The manufacturer's key as the device asked for it, as far as both keys can be written so."""
    encoding = maker.encoding
    if key_encoding in (KeyEncoding.X509, KeyEncoding.X5CHAIN, KeyEncoding.COSEKEY):
        encoding = KeyEncoding(key_encoding)
    if encoding is KeyEncoding.X5CHAIN and not (maker.certificate and owner.certificate):
        encoding = KeyEncoding.X509
    fits = maker.handle.kind in _WANTED.get(key_type, ())
    return maker.public(encoding, KeyType(key_type) if fits else None)
