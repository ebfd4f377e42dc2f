"""Key exchange, key derivation and protected messages as go-fdo made them."""

import json
from pathlib import Path

import cbor2
import pytest

from bootstrap.errors import NotAuthenticated
from bootstrap.protocols.fdo.crypto import kex
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, derive
from bootstrap.protocols.fdo.crypto.session import open_, open_first, seal
from bootstrap.wire.keys import KeyKind, SoftSigner

FILE = Path(__file__).parents[2] / "vectors" / "fdo" / "go_fdo_key_exchange.json"
VECTORS = json.loads(FILE.read_text())
RUNS = [pytest.param(run, id=f"{run['suite']}-{run['cipher']}") for run in VECTORS["runs"]]
OWNERS = {
    suite: SoftSigner.from_pkcs8(bytes.fromhex(pkcs8)) for suite, pkcs8 in VECTORS["owner_keys"].items()
}
ANYBODY = SoftSigner.generate(KeyKind.P256)


def octets(run, name):
    return bytes.fromhex(run[name])


def session_keys(run, dialect=Dialect.GO):
    """The owner's key matters to ASYMKEX only."""
    suite, signer = kex.KexSuite(run["suite"]), OWNERS.get(run["suite"], ANYBODY)
    private = octets(run, "owner_private")
    if suite in (kex.KexSuite.ECDH256, kex.KexSuite.ECDH384):
        private = private[: 32 if suite is kex.KexSuite.ECDH256 else 48] + octets(run, "x_a")
    shared = kex.owner_finish(suite, private, octets(run, "x_b"), signer)
    return derive(CipherSuite(run["cipher"]), shared.secret, shared.context_rand, dialect)


def iv_of(message):
    """Of a COSE_Encrypt0, or of the one inside a COSE_Mac0."""
    item = cbor2.loads(message).value
    return item[1][5] if len(item) == 3 else cbor2.loads(item[2])[1][5]


@pytest.mark.parametrize("run", RUNS)
def test_the_owner_comes_to_the_same_keys_as_go_fdo(run):
    keys = session_keys(run)
    assert (keys.sek, keys.svk) == (octets(run, "sek"), octets(run, "svk"))


@pytest.mark.parametrize("way", ["from_device", "from_owner"])
@pytest.mark.parametrize("run", RUNS)
def test_a_message_of_go_fdo_opens_and_seals_to_the_same_octets(run, way):
    suite, keys, message = CipherSuite(run["cipher"]), session_keys(run), octets(run, way)
    assert open_(suite, keys, message) == octets(run, "plaintext")
    assert seal(suite, keys, octets(run, "plaintext"), lambda _length: iv_of(message)) == message


@pytest.mark.parametrize("run", RUNS)
def test_the_owner_finds_go_fdos_dialect_among_the_candidates(run):
    suite = CipherSuite(run["cipher"])
    candidates = [(session_keys(run, dialect), dialect) for dialect in (Dialect.SPEC, Dialect.GO)]
    plaintext, keys, dialect = open_first(suite, candidates, octets(run, "from_device"))
    assert plaintext == octets(run, "plaintext")
    assert keys.sek == octets(run, "sek")
    assert suite.is_aead or dialect is Dialect.GO


@pytest.mark.parametrize("run", RUNS)
def test_keys_of_another_exchange_open_nothing_of_it(run):
    suite = CipherSuite(run["cipher"])
    with pytest.raises(NotAuthenticated):
        open_(suite, derive(suite, b"another secret"), octets(run, "from_device"))
