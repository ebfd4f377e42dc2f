"""TO2: the device examines its owner's voucher, proves itself, and is set up (FDO 1.1 section 5.5).

Nothing is believed before it is verified: the owner's signature, the header by the device's own HMAC, the
manufacturer by the hash in the credential, every transfer by the key before it, and where the owner was found
by the same owner key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from bootstrap.errors import MalformedMessage, NotAuthenticated, PeerError, UnexpectedMessage
from bootstrap.wire.keys import PublicKeyHandle, Signer, default_algorithm

from ..constants import MESSAGE_MAX_LENGTH, NONCE_LENGTH, CredentialReuse, InvalidVoucher, MessageType
from ..crypto.hashes import digest
from ..crypto.kdf import derive
from ..crypto.kex import KexSuite, device_answer, suites_for
from ..crypto.session import CipherSuite, Dialect, SessionKeys, open_, open_first, seal
from ..messages import (
    DeviceServiceInfo,
    DeviceServiceInfoReady,
    Done,
    Done2,
    GetOvNextEntry,
    HelloDevice,
    OvNextEntry,
    OwnerServiceInfo,
    OwnerServiceInfoReady,
    ProveDevice,
    ProveOvHdr,
    SetupDevice,
    To1d,
)
from ..primitives import SigInfo
from ..public_key import PublicKey
from ..reported import expect
from ..service_info.device import DeviceModules, Said
from ..voucher import Entry, OvHeader, Voucher
from ..voucher.checks import first_previous_hash, header_info_hash
from ..voucher.transfer import replacement_header
from .credential import DeviceCredential

Send = tuple[int, bytes]
Random = Callable[[int], bytes]
_T = MessageType
_ENCRYPTED = frozenset(
    {
        _T.TO2_SETUP_DEVICE,
        _T.TO2_OWNER_SERVICE_INFO_READY,
        _T.TO2_OWNER_SERVICE_INFO,
        _T.TO2_DONE2,
    }
)


@dataclass(frozen=True, slots=True)
class To2Options:
    """What a device chooses."""

    kex: KexSuite
    cipher: CipherSuite = CipherSuite.A128GCM
    max_message: int = MESSAGE_MAX_LENGTH
    max_service_info: int | None = None
    """Largest ServiceInfo it takes from the owner; None is sent as null and means 1300 octets."""
    allow_reuse: bool = True
    pss: bool = False
    """RSA device keys sign with PSS."""
    dialects: tuple[Dialect, ...] = (Dialect.GO, Dialect.SPEC)
    """Spellings of encrypt-then-MAC that it tries on the owner's first message."""


@dataclass(frozen=True, slots=True)
class Finished:
    """TO2 is over. ``credential`` is to be stored in place of the old one."""

    credential: DeviceCredential
    reused: bool
    owner_key: PublicKey


@dataclass(slots=True)
class _Run:
    """What one TO2 has learned so far."""

    hello: bytes = b""
    nonce_prove_ov: bytes = b""
    nonce_prove_dv: bytes = b""
    nonce_setup_dv: bytes = b""
    voucher: Voucher | None = None
    entries: int = 0
    verified: int = 0
    previous: Entry | None = None
    key: PublicKeyHandle | None = None
    """Who may sign the next entry."""
    owner: PublicKey | None = None
    x_a: bytes = field(default=b"", repr=False)
    candidates: tuple[tuple[SessionKeys, Dialect], ...] = field(default=(), repr=False)
    keys: SessionKeys | None = field(default=None, repr=False)
    dialect: Dialect = Dialect.GO
    credential: DeviceCredential | None = field(default=None, repr=False)
    reused: bool = False


class To2Device:
    """``begin``, then ``receive`` each answer until it is ``Finished``. One object, one run."""

    def __init__(
        self,
        credential: DeviceCredential,
        signer: Signer,
        to1d: To1d | None,
        modules: Callable[[int | None], DeviceModules],
        random: Random,
        options: To2Options,
    ) -> None:
        self._credential = credential
        self._signer = signer
        self._to1d = to1d
        self._make_modules = modules
        self._modules: DeviceModules | None = None
        self._random = random
        self._options = options
        self._algorithm = default_algorithm(signer.public.kind, pss=options.pss)
        self._run = _Run()
        self._awaited = _T.TO2_PROVE_OV_HDR

    def begin(self) -> Send:
        """Message 60."""
        self._run.nonce_prove_ov = self._random(NONCE_LENGTH)
        hello = HelloDevice(
            self._options.max_message,
            self._credential.guid,
            self._run.nonce_prove_ov,
            self._options.kex.value,
            int(self._options.cipher),
            SigInfo(self._algorithm),
        )
        self._run.hello = hello.encode()
        return int(_T.TO2_HELLO_DEVICE), self._run.hello

    def receive(self, number: int, body: bytes) -> Send | Finished:
        """The next message, or the end. Raises PeerError; then nothing of the device has changed."""
        expect(number, body, self._awaited)
        if len(body) > self._options.max_message:
            raise MalformedMessage(f"message of {len(body)} octets, over maxDeviceMessageSize")
        if self._awaited in _ENCRYPTED:
            body = self._opened(body)
        answers: dict[MessageType, Callable[[bytes], Send | Finished]] = {
            _T.TO2_PROVE_OV_HDR: self._prove_ov_hdr,
            _T.TO2_OV_NEXT_ENTRY: self._ov_next_entry,
            _T.TO2_SETUP_DEVICE: self._setup_device,
            _T.TO2_OWNER_SERVICE_INFO_READY: self._service_info_ready,
            _T.TO2_OWNER_SERVICE_INFO: self._service_info,
            _T.TO2_DONE2: self._done2,
        }
        return answers[self._awaited](body)

    def _prove_ov_hdr(self, body: bytes) -> Send:
        run = self._run
        message = ProveOvHdr.decode(body)
        owner = message.owner_public_key
        message.verify(owner.handle())
        kind = message.hello_hash.type
        if not compare_digest(message.hello_hash.value, digest(kind, run.hello)):
            raise NotAuthenticated("the owner answers another hello")
        if not compare_digest(message.nonce, run.nonce_prove_ov):
            raise NotAuthenticated("the owner answers with another nonce")
        header = self._own_header(message)
        self._same_owner(owner.handle())
        if self._options.kex not in suites_for(owner.handle().kind):
            raise UnexpectedMessage("key exchange that does not go with the owner's key")
        run.voucher = Voucher(header, message.hmac, ())
        run.entries, run.owner, run.x_a = message.num_entries, owner, message.x_a
        run.key = header.manufacturer_key.handle()
        run.nonce_prove_dv = message.prove_dv_nonce
        if not run.entries:
            raise InvalidVoucher("a voucher that was never extended")
        return self._next_entry()

    def _own_header(self, message: ProveOvHdr) -> OvHeader:
        """The header is the one whose HMAC this device made, and its manufacturer the one it remembers."""
        if not compare_digest(self._credential.hmac(message.header).value, message.hmac.value):
            raise InvalidVoucher("the header's HMAC is not this device's")
        header = OvHeader.decode(message.header)
        named = digest(self._credential.key_type, header.manufacturer_key.encode())
        if header.guid != self._credential.guid or not compare_digest(named, self._credential.key_hash):
            raise InvalidVoucher("voucher of another device or manufacturer")
        return header

    def _same_owner(self, owner: PublicKeyHandle) -> None:
        """Whoever registered at the rendezvous is who answers now."""
        if self._to1d is not None:
            self._to1d.verify(owner)

    def _next_entry(self) -> Send:
        self._awaited = _T.TO2_OV_NEXT_ENTRY
        return int(_T.TO2_GET_OV_NEXT_ENTRY), GetOvNextEntry(self._run.verified).encode()

    def _ov_next_entry(self, body: bytes) -> Send:
        run = self._run
        message = OvNextEntry.decode(body)
        if message.number != run.verified:
            raise UnexpectedMessage(f"entry {message.number} where {run.verified} was asked for")
        run.key = self._verified_entry(Entry.decode(message.entry))
        run.verified += 1
        if run.verified < run.entries:
            return self._next_entry()
        if run.owner is None or run.key != run.owner.handle():
            raise InvalidVoucher("the voucher ends in another key than the one that answered")
        return self._prove_device()

    def _verified_entry(self, entry: Entry) -> PublicKeyHandle:
        run = self._run
        if run.voucher is None or run.key is None:
            raise UnexpectedMessage("an entry before its header")
        kind = entry.previous_hash.type
        if run.previous is None:
            expected = first_previous_hash(kind, run.voucher)
        else:
            expected = digest(kind, run.previous.encode())
        linked = compare_digest(entry.previous_hash.value, expected)
        same_device = compare_digest(
            entry.header_hash.value, header_info_hash(entry.header_hash.type, run.voucher)
        )
        if not linked or not same_device:
            raise InvalidVoucher("a transfer that does not continue the voucher")
        try:
            entry.envelope.verify(run.key)
        except PeerError as error:
            raise InvalidVoucher("a transfer that its owner did not sign") from error
        run.previous = entry
        return entry.next_key.handle()

    def _prove_device(self) -> Send:
        run, options = self._run, self._options
        if run.owner is None:
            raise UnexpectedMessage("no owner to prove anything to")
        x_b, shared = device_answer(options.kex, run.x_a, self._random, run.owner.handle())
        run.candidates = tuple(
            (derive(options.cipher, secret, shared.context_rand, dialect), dialect)
            for dialect in (options.dialects[:1] if options.cipher.is_aead else options.dialects)
            for secret in (shared.secret, *shared.alternatives)
        )
        run.nonce_setup_dv = self._random(NONCE_LENGTH)
        proof = ProveDevice(
            nonce=run.nonce_prove_dv,
            guid=self._credential.guid,
            x_b=x_b,
            setup_dv_nonce=run.nonce_setup_dv,
        )
        self._awaited = _T.TO2_SETUP_DEVICE
        return int(_T.TO2_PROVE_DEVICE), proof.sign(self._signer, self._algorithm).encode()

    def _opened(self, body: bytes) -> bytes:
        run, cipher = self._run, self._options.cipher
        if run.keys is None:
            plaintext, run.keys, run.dialect = open_first(cipher, run.candidates, body)
            run.candidates = ()
            return plaintext
        return open_(cipher, run.keys, body, run.dialect)

    def _sealed(self, number: MessageType, plaintext: bytes) -> Send:
        run = self._run
        if run.keys is None:
            raise UnexpectedMessage("no session yet")
        octets = seal(self._options.cipher, run.keys, plaintext, self._random, run.dialect)
        return int(number), octets

    def _setup_device(self, body: bytes) -> Send:
        run = self._run
        message = SetupDevice.decode(body)
        message.verify(message.owner2_key.handle())
        if not compare_digest(message.nonce, run.nonce_setup_dv):
            raise NotAuthenticated("set up with another nonce")
        if run.owner is None or run.voucher is None:
            raise UnexpectedMessage("set up before the voucher")
        run.reused = self._is_reuse(message, run.owner)
        if run.reused and not self._options.allow_reuse:
            raise CredentialReuse("this device does not keep its credential")
        hmac = None
        if run.reused:
            run.credential = self._credential
        else:
            header = replacement_header(
                run.voucher, guid=message.guid, rvinfo=message.rvinfo, owner2_key=message.owner2_key
            )
            run.credential = self._credential.renewed(header)
            hmac = run.credential.hmac(header.encode())
        self._awaited = _T.TO2_OWNER_SERVICE_INFO_READY
        ready = DeviceServiceInfoReady(hmac, self._options.max_service_info)
        return self._sealed(_T.TO2_DEVICE_SERVICE_INFO_READY, ready.encode())

    def _is_reuse(self, message: SetupDevice, owner: PublicKey) -> bool:
        """The same GUID, rendezvous and owner key as now (section 5.5.7)."""
        return (
            message.guid == self._credential.guid
            and message.rvinfo == self._credential.rvinfo
            and message.owner2_key.handle() == owner.handle()
        )

    def _service_info_ready(self, body: bytes) -> Send:
        ready = OwnerServiceInfoReady.decode(body)
        self._modules = self._make_modules(ready.max_device_service_info_size)
        self._awaited = _T.TO2_OWNER_SERVICE_INFO
        return self._said(self._modules.first())

    def _service_info(self, body: bytes) -> Send:
        message = OwnerServiceInfo.decode(body)
        if self._modules is None:
            raise UnexpectedMessage("service info before its beginning")
        said = self._modules.receive(message.is_more, message.service_info)
        if not message.is_done:
            return self._said(said)
        self._awaited = _T.TO2_DONE2
        return self._sealed(_T.TO2_DONE, Done(self._run.nonce_prove_dv).encode())

    def _said(self, said: Said) -> Send:
        return self._sealed(_T.TO2_DEVICE_SERVICE_INFO, DeviceServiceInfo(said.is_more, said.kvs).encode())

    def _done2(self, body: bytes) -> Finished:
        run = self._run
        if not compare_digest(Done2.decode(body).nonce, run.nonce_setup_dv):
            raise NotAuthenticated("good-bye with another nonce")
        if run.credential is None or run.owner is None:
            raise UnexpectedMessage("good-bye before the end")
        return Finished(run.credential, run.reused, run.owner)
