"""Vouchers and whole TO2 runs that go-fdo made, read and checked by our own code."""

import json
from pathlib import Path

import pytest

from bootstrap.errors import PeerError
from bootstrap.protocols.fdo.crypto import kex
from bootstrap.protocols.fdo.crypto.hashes import digest, hmac
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, SessionKeys, derive
from bootstrap.protocols.fdo.crypto.session import open_
from bootstrap.protocols.fdo.messages import DECODERS
from bootstrap.protocols.fdo.public_key import PublicKey
from bootstrap.protocols.fdo.voucher import Voucher
from bootstrap.protocols.fdo.voucher.checks import verify
from bootstrap.protocols.fdo.voucher.transfer import extend
from bootstrap.wire.keys import PublicKeyHandle, SoftSigner

FOLDER = Path(__file__).parents[2] / "vectors" / "fdo"
VOUCHERS = json.loads((FOLDER / "vouchers.json").read_text())["vouchers"]
TRANSCRIPTS = json.loads((FOLDER / "transcripts.json").read_text())["transcripts"]

each_voucher = pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in VOUCHERS])
each_run = pytest.mark.parametrize("run", [pytest.param(t, id=t["name"]) for t in TRANSCRIPTS])
CIPHERS = {
    "A128GCM": CipherSuite.A128GCM,
    "A256GCM": CipherSuite.A256GCM,
    "COSEAES128CTR": CipherSuite.AES128_CTR,
    "COSEAES256CTR": CipherSuite.AES256_CTR,
    "COSEAES256CBC": CipherSuite.AES256_CBC,
}
ECDH_RANDOM_LENGTH = {"ECDH256": 16, "ECDH384": 48}


def voucher_of(vector):
    return Voucher.decode(bytes.fromhex(vector["voucher"]))


def wire(run, number, which=0):
    return bytes.fromhex([m for m in run["messages"] if m["number"] == number][which]["wire"])


def clear(message):
    return bytes.fromhex(message.get("clear") or message["wire"])


def decoded(run, number):
    message = next(m for m in run["messages"] if m["number"] == number)
    return DECODERS[number](clear(message))


@each_voucher
def test_a_foreign_voucher_holds_and_is_its_owners(vector):
    voucher = voucher_of(vector)
    owner = PublicKeyHandle.from_spki(bytes.fromhex(vector["owner_key"]))
    verify(voucher, owner=owner, trusted=lambda key: key == voucher.header.manufacturer_key)
    assert voucher.guid.hex() == vector["guid"]
    assert voucher.header.device_info == vector["device_info"]
    assert len(voucher.entries) == vector["entries"]


@each_voucher
def test_a_foreign_voucher_keeps_its_octets(vector):
    assert voucher_of(vector).encode().hex() == vector["voucher"]


@each_voucher
def test_the_devices_own_checks_hold(vector):
    voucher = voucher_of(vector)
    secret = bytes.fromhex(vector["hmac_secret"])
    assert hmac(voucher.hmac.type, secret, voucher.header.encode()) == voucher.hmac.value
    key = voucher.header.manufacturer_key
    assert digest(voucher.header.chain_hash.type, key.encode()).hex() == vector["manufacturer_key_hash"]


@each_voucher
def test_its_keys_written_by_us_are_the_same_octets(vector):
    key = voucher_of(vector).header.manufacturer_key
    again = PublicKey.of(key.handle(), key.encoding, pss=key.is_pss, chain=key.chain())
    if vector["key"] != "RSAPKCS 2048":  # the one whose type our encoder would not choose for the size
        assert again.encode() == key.encode()


@pytest.mark.parametrize("entry", [0, 1, 2])
def test_one_flipped_bit_in_any_part_of_an_entry_is_refused(entry):
    vector = next(v for v in VOUCHERS if v["entries"] == 3 and v["key"] == "P-256")
    octets = bytes.fromhex(vector["voucher"])
    raw = voucher_of(vector).raw_entries[entry]
    start = octets.index(raw)
    for position in range(start, start + len(raw), 7):
        broken = bytearray(octets)
        broken[position] ^= 0x10
        with pytest.raises(PeerError):
            verify(Voucher.decode(bytes(broken)))


@each_run
def test_the_exchange_gives_the_session_keys_of_the_run(run):
    x_a, x_b = decoded(run, 61).x_a, decoded(run, 64).x_b
    random_length = ECDH_RANDOM_LENGTH.get(run["kex"], 0)
    private = bytes.fromhex(run.get("owner_exchange_state", "")) or x_a
    private += x_a if random_length else b""
    signer = SoftSigner.from_pem(run["owner_key"].encode())
    shared = kex.owner_finish(kex.KexSuite(run["kex"]), private, x_b, signer)
    keys = derive(CIPHERS[run["cipher"]], shared.secret, shared.context_rand, Dialect.GO)
    assert (keys.sek.hex(), keys.svk.hex()) == (run["sek"], run["svk"])


@each_run
def test_every_protected_message_opens_to_its_plaintext(run):
    keys = SessionKeys(bytes.fromhex(run["sek"]), bytes.fromhex(run["svk"]))
    protected = [message for message in run["messages"] if 65 <= message["number"] <= 71]
    assert len(protected) >= 9
    for message in protected:
        octets = bytes.fromhex(message["wire"])
        assert open_(CIPHERS[run["cipher"]], keys, octets, Dialect.GO) == clear(message)


@each_run
def test_every_message_decodes_and_writes_back(run):
    for message in run["messages"]:
        octets = clear(message)
        assert DECODERS[message["number"]](octets).encode() == octets


@each_run
def test_every_signature_of_the_run_holds(run):
    voucher = voucher_of(run)
    hello = decoded(run, 61)
    hello.verify(voucher.owner_key.handle())
    assert hello.owner_public_key.handle() == voucher.owner_key.handle()
    assert digest(hello.hello_hash.type, wire(run, 60)) == hello.hello_hash.value
    decoded(run, 64).verify(voucher.device_key)
    setup = decoded(run, 65)
    setup.verify(setup.owner2_key.handle())
    assert decoded(run, 70).nonce == hello.prove_dv_nonce == decoded(run, 64).nonce
    assert decoded(run, 71).nonce == setup.nonce == decoded(run, 64).setup_dv_nonce


@each_run
def test_reuse_is_what_the_device_answers_when_nothing_changes(run):
    same = decoded(run, 65).guid == voucher_of(run).guid
    assert same is (run["name"] == "credential reuse")
    assert (decoded(run, 66).hmac is None) is same


def test_a_foreign_voucher_can_be_extended_by_its_owner():
    run = next(run for run in TRANSCRIPTS if run["key"] == "P-256")
    voucher = voucher_of(run)
    signer = SoftSigner.from_pem(run["owner_key"].encode())
    extended = extend(voucher, signer, voucher.header.manufacturer_key)
    verify(extended, owner=voucher.header.manufacturer_key.handle())
    assert len(extended.entries) == len(voucher.entries) + 1
