"""What an owner remembers of one device under TO2, and what goes into a step.

``OwnerState`` has three parts: the run that is under way, which a new message 60 forgets; what one run teaches
the next; and what the last finished run came to. The voucher itself is in ``OwnerMaterial`` and no step changes
it: a device that dies anywhere begins again under the voucher it had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from bootstrap.wire.keys import Signer

from ..constants import MESSAGE_MAX_LENGTH, SERVICE_INFO_DEFAULT_LENGTH, MessageType
from ..public_key import PublicKey
from ..service_info import ActionResult, ActionsOf, CsrAuthority
from ..voucher import Voucher

ResultRow = tuple[str, bool, str, bytes, bytes, int | None]
"""An ActionResult, flat: id, ok, detail, output, errors, exit code."""

RESULTS_MAX_LENGTH = 8 * 1024 * 1024
"""Octets of outputs that one run may leave behind; what is beyond is dropped and said so."""

PHASES: dict[int, str] = {
    0: "waiting for TO2.HelloDevice",
    MessageType.TO2_HELLO_DEVICE: "TO2.ProveOVHdr sent",
    MessageType.TO2_GET_OV_NEXT_ENTRY: "TO2.OVNextEntry sent",
    MessageType.TO2_PROVE_DEVICE: "TO2.SetupDevice sent",
    MessageType.TO2_DEVICE_SERVICE_INFO_READY: "TO2.OwnerServiceInfoReady sent",
    MessageType.TO2_DEVICE_SERVICE_INFO: "service info",
    MessageType.TO2_DONE: "TO2.Done2 sent",
    MessageType.ERROR: "ended by the device",
}
"""``OwnerState.stage`` in the specification's words."""


@dataclass(frozen=True, slots=True)
class OwnerMaterial:
    """What the session of one GUID is given when it is made; sealed by the store."""

    voucher: bytes = field(repr=False)
    """Encoded, with at least one entry, the last one naming a key of ours. After TO2 it is the replacement
    voucher extended from our new key to itself: peers refuse a voucher of zero entries in TO0 and TO2. The
    voucher as TO2 left it is ``unextended(voucher)``."""
    replaces: str = ""
    """GUID (hex) that this voucher's credential replaced; that session has had its day once this one has
    seen TO2.ProveDevice."""


@dataclass(frozen=True, slots=True)
class OwnerState:
    """Everything the owner remembers of one device; flat, so that it freezes into one blob."""

    # The run that is under way.
    stage: int = 0
    """Number of the last message that was answered; 255 after the device's own error."""
    entries: int = 0
    next_entry: int = 0
    """What TO2.GetOVNextEntry must ask for; equal to ``entries`` when the device has them all."""
    max_message: int = MESSAGE_MAX_LENGTH
    """maxDeviceMessageSize; binds every reply from 61 on."""
    kex_suite: str = ""
    cipher_suite: int = 0
    kex_private: bytes = field(default=b"", repr=False)
    nonce_prove_dv: bytes = field(default=b"", repr=False)
    nonce_setup_dv: bytes = field(default=b"", repr=False)
    sek: bytes = field(default=b"", repr=False)
    svk: bytes = field(default=b"", repr=False)
    dialect: str = ""
    """In which ``sek`` and ``svk`` are used."""
    others: tuple[tuple[bytes, bytes, str], ...] = field(default=(), repr=False)
    """Other readings of the same key exchange: SEK, SVK, dialect. Tried on message 66, then forgotten."""
    reuse: bool = False
    """TO2.SetupDevice repeated the device's credential."""
    max_service_info: int = SERVICE_INFO_DEFAULT_LENGTH
    """maxOwnerServiceInfoSz; binds the service info in message 69."""
    hmac2: bytes = field(default=b"", repr=False)
    """The device's HMac over ``header2``, encoded; empty when it gave none."""
    modules: bytes = field(default=b"", repr=False)
    """Frozen service_info.OwnerModules."""
    results: tuple[ResultRow, ...] = field(default=(), repr=False)
    is_done: bool = False
    """Message 69 has said isDone."""
    seen: bytes = field(default=b"", repr=False)
    """Short digests of the latest encrypted messages of this run, end to end, against replay."""

    # What one run teaches the next.
    guid2: bytes = b""
    """The replacement that was last offered. Offered again while nothing in it changes, so that a device
    which died between 70 and 71 does not leave a trail of vouchers."""
    header2: bytes = field(default=b"", repr=False)
    """OVHeader of that replacement."""
    known_dialect: str = ""
    """The one in which this device has opened and sealed."""
    unopened: int = 0
    """Runs in a row that ended after message 65: the device may read another dialect."""
    said: str = ""
    """Text of the device's last message 255; quirks are guessed from it."""

    # What the last finished run came to.
    runs: int = 0
    """How many have finished; settling a run is idempotent by this number."""
    finished_at: int = 0
    """Unix time."""
    finished: tuple[ResultRow, ...] = field(default=(), repr=False)
    replaced_by: str = ""
    """GUID (hex) of the session that the last finished run opened; empty after credential reuse."""

    @property
    def phase(self) -> str:
        """How far the run is, for people."""
        return PHASES.get(self.stage, "")

    @property
    def failed(self) -> tuple[str, ...]:
        """Ids of the actions of the last finished run that did not work."""
        return tuple(row[0] for row in self.finished if not row[1])


_ACROSS_RUNS = (
    "guid2",
    "header2",
    "known_dialect",
    "unopened",
    "said",
    "runs",
    "finished_at",
    "finished",
    "replaced_by",
)
_BLANK = OwnerState()
_OF_ONE_RUN = {f.name: getattr(_BLANK, f.name) for f in fields(OwnerState) if f.name not in _ACROSS_RUNS}


def without_run(state: OwnerState) -> OwnerState:
    """The state with nothing under way and no key of a run in it."""
    return replace(state, **_OF_ONE_RUN)


def result_row(result: ActionResult) -> ResultRow:
    """Flat, for the state."""
    return (result.id, result.ok, result.detail, result.output, result.errors, result.exit_code)


def results_of(rows: tuple[ResultRow, ...]) -> tuple[ActionResult, ...]:
    """Out of the state again, for whoever settles a finished run."""
    return tuple(ActionResult(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class OwnerMessage:
    """One message of TO2 as it came: its number is in the URL, not in the body."""

    number: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnerFacts:
    """What one step of the owner may know beyond its state."""

    guid: bytes
    """The GUID this session is for; a message 60 that names another is refused."""
    voucher: Callable[[], Voucher]
    """Parsed only when a message needs it; a callable that remembers."""
    signer: Callable[[bytes], Signer | None]
    """Our private key for a SubjectPublicKeyInfo; None when we have (or have no longer) that key."""
    owner2: tuple[Signer, PublicKey] | None = None
    """The key for the next voucher, and its public half as it is to be encoded; None: the voucher's last key
    stays. Ignored while the credential is reused, which by its nature keeps the key."""
    rvinfo: bytes | None = None
    """RendezvousInfo, encoded, for the replacement; None: as it was."""
    reuse: bool = False
    """Offer credential reuse instead of a replacement."""
    actions: ActionsOf = field(default=lambda _devmod: ())
    csr: CsrAuthority | None = None
    max_message: int = MESSAGE_MAX_LENGTH
    """maxOwnerMessageSize."""
    max_service_info: int = SERVICE_INFO_DEFAULT_LENGTH
    """maxDeviceServiceInfoSz."""
    serves: bool = True
    """False: the owner role is off, the device is revoked, or its credential was replaced long ago."""
