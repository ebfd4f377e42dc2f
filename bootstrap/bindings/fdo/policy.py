"""What an organization does in FDO, as the doors keep it in memory: roles, keys ready to sign, whom it admits."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import structlog
from django.conf import settings

from bootstrap.errors import LocalError, PeerError
from bootstrap.protocols.fdo.constants import KeyEncoding, KeyType
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.rendezvous import rvinfo_for
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, Signer
from devices.keys import fingerprint_of, signer_of
from devices.models import FdoSettings, OwnerKey, TrustedManufacturer

log = structlog.get_logger(__name__)
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
_ENCODINGS = {
    OwnerKey.Encoding.X509: KeyEncoding.X509,
    OwnerKey.Encoding.X5CHAIN: KeyEncoding.X5CHAIN,
    OwnerKey.Encoding.COSEKEY: KeyEncoding.COSEKEY,
}


@dataclass(frozen=True, slots=True, eq=False)
class KeyEntry:
    """One of our keys."""

    signer: Signer = field(repr=False)
    encoding: KeyEncoding
    pss: bool
    certificate: bytes | None = field(default=None, repr=False)

    @property
    def handle(self) -> PublicKeyHandle:
        """Its public half."""
        return self.signer.public

    def public(self, encoding: KeyEncoding | None = None, type: KeyType | None = None) -> PublicKey:
        """Its public half as a voucher carries it; without a certificate there is no X5CHAIN."""
        chosen = self.encoding if encoding is None else encoding
        if chosen is KeyEncoding.X5CHAIN and self.certificate is None:
            chosen = KeyEncoding.X509
        chain = (self.certificate,) if self.certificate else ()
        return PublicKey.of(self.handle, chosen, self.pss, chain, type)


@dataclass(frozen=True, slots=True, eq=False)
class FdoPolicy:
    """One organization. Without a row everything is off."""

    organization_id: int = 0
    manufacturer_on: bool = False
    rendezvous_on: bool = False
    owner_on: bool = False
    di_networks: tuple[IPNetwork, ...] = ()
    di_key_kind: KeyKind = KeyKind.P256
    rendezvous_urls: tuple[str, ...] = ()
    """Its own choice; empty: the portal's."""
    reuse_credentials: bool = False
    rv_max_wait_seconds: int = 0
    rv_admission: str = ""
    service_info_max: int = 1300
    signers: Mapping[bytes, Signer] = field(default_factory=dict, repr=False)
    """Owner and manufacturer keys by SubjectPublicKeyInfo, retired ones too."""
    owner_keys: Mapping[KeyKind, KeyEntry] = field(default_factory=dict, repr=False)
    """The newest active one of each kind; so are the next two."""
    manufacturer_keys: Mapping[KeyKind, KeyEntry] = field(default_factory=dict, repr=False)
    device_cas: Mapping[KeyKind, KeyEntry] = field(default_factory=dict, repr=False)
    trusted: frozenset[str] = frozenset()
    """Fingerprints of manufacturer keys."""

    @property
    def rvinfo(self) -> bytes | None:
        """RendezvousInfo for its devices' next credential; None: as it was."""
        return rvinfo_of(self.rendezvous_urls) if self.rendezvous_urls else None

    def lets_initialize(self, source: str) -> bool:
        """Whether a device at this address may run DI here."""
        if not self.di_networks:
            return True
        try:
            address = ipaddress.ip_address(source.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.di_networks)

    def admits(self, voucher: Voucher) -> bool:
        """Whether our rendezvous takes this voucher for this organization; says nothing of its signatures."""
        if not self.rendezvous_on:
            return False
        if self.rv_admission == FdoSettings.Admission.ANY:
            return True
        if self.rv_admission == FdoSettings.Admission.TRUSTED:
            return fingerprint_of(voucher.header.manufacturer_key.handle()) in self.trusted
        return voucher.owner_key.handle().der in self.signers


NOTHING = FdoPolicy()
"""Of whoever never set FDO up."""


def own_url() -> str:
    """The portal's own rendezvous: the plain port, because FDO protects itself and devices know no certificate."""
    return settings.PORTAL_URL or "http://localhost:8000"


@lru_cache(maxsize=256)
def rvinfo_of(urls: tuple[str, ...]) -> bytes:
    """RendezvousInfo that sends devices and owners to these servers, in this order."""
    return rvinfo_for(*urls).encode()


def load_policies() -> tuple[dict[int, FdoPolicy], dict[str, int], int | None]:
    """Policies by organization, organizations by DI station, and whose devices are that name no station."""
    keys: dict[int, list[tuple[OwnerKey, Signer]]] = {}
    for key in OwnerKey.objects.order_by("pk"):
        signer = _signer(key)
        if signer is not None:
            keys.setdefault(key.organization_id, []).append((key, signer))
    trusted: dict[int, set[str]] = {}
    for organization_id, fingerprint in TrustedManufacturer.objects.values_list(
        "organization_id", "fingerprint"
    ):
        trusted.setdefault(organization_id, set()).add(fingerprint)
    policies: dict[int, FdoPolicy] = {}
    stations: dict[str, int] = {}
    default = None
    for row in FdoSettings.objects.all():
        own = row.organization_id
        policies[own] = _policy(row, keys.get(own, []), trusted.get(own, set()))
        station = _station(row)
        if station:
            stations[station] = own
        if row.di_default:
            default = own
    return policies, stations, default


def _policy(row: FdoSettings, keys: list[tuple[OwnerKey, Signer]], trusted: Iterable[str]) -> FdoPolicy:
    purpose = OwnerKey.Purpose
    return FdoPolicy(
        organization_id=row.organization_id,
        manufacturer_on=row.manufacturer_on,
        rendezvous_on=row.rendezvous_on,
        owner_on=row.owner_on,
        di_networks=tuple(ipaddress.ip_network(text, strict=False) for text in row.di_networks),
        di_key_kind=KeyKind(row.di_key_kind),
        rendezvous_urls=tuple(row.rendezvous_urls),
        reuse_credentials=row.reuse_credentials,
        rv_max_wait_seconds=row.rv_max_wait_seconds,
        rv_admission=row.rv_admission,
        service_info_max=row.service_info_max,
        signers={bytes(key.public): signer for key, signer in keys if key.purpose != purpose.DEVICE_CA},
        owner_keys=_newest(keys, purpose.OWNER),
        manufacturer_keys=_newest(keys, purpose.MANUFACTURER),
        device_cas=_newest(keys, purpose.DEVICE_CA),
        trusted=frozenset(trusted),
    )


def _newest(keys: list[tuple[OwnerKey, Signer]], purpose: str) -> dict[KeyKind, KeyEntry]:
    return {
        signer.public.kind: KeyEntry(
            signer,
            _ENCODINGS[OwnerKey.Encoding(key.encoding)],
            key.pss,
            bytes(key.certificate) if key.certificate else None,
        )
        for key, signer in keys
        if key.purpose == purpose and key.state == OwnerKey.State.ACTIVE
    }


def _signer(key: OwnerKey) -> Signer | None:
    """None when it does not open, or its token is away: its devices wait, and every other key works."""
    try:
        return signer_of(key)
    except (LocalError, PeerError) as error:
        log.error("directory.key-lost", key=key.fingerprint[:16], error=str(error))
        return None


def _station(row: FdoSettings) -> str:
    try:
        return row.di_token
    except LocalError as error:
        log.error("directory.station-lost", organization=row.organization_id, error=str(error))
        return ""
