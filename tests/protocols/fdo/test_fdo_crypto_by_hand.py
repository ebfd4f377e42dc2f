"""What peers send, put together by hand from the texts of the standards, and what they must not send."""

import hashlib
import hmac as std_hmac

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.protocols.fdo.crypto import kex
from bootstrap.protocols.fdo.crypto.groups import PRIME_14, PRIME_15
from bootstrap.protocols.fdo.crypto.hashes import HashType, digest, hmac
from bootstrap.protocols.fdo.crypto.kdf import CipherSuite, Dialect, SessionKeys, derive
from bootstrap.protocols.fdo.crypto.kex import KexSuite
from bootstrap.protocols.fdo.crypto.session import open_, open_first, seal
from bootstrap.wire.keys import KeyKind, SoftSigner

OWNER = SoftSigner.generate(KeyKind.P256)
MESSAGE = b"\x82\xf5\x80"
SECRET = b"what both sides know"
CCM = [suite for suite in CipherSuite if suite.name.startswith("CCM")]
EVERY = [(suite, dialect) for suite in CipherSuite for dialect in Dialect]


def counting(length):
    """Not random at all, and the same for both sides of a comparison."""
    return bytes(range(1, 1 + length))


def aes(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def ccm(key, nonce, aad, plaintext, tag_length):
    """CCM by the formulas of RFC 3610 section 2, from single AES blocks."""
    width = 15 - len(nonce)
    flags = 64 * bool(aad) + 8 * (tag_length - 2) // 2 + width - 1
    blocks = bytes([flags]) + nonce + len(plaintext).to_bytes(width, "big")
    for part in (len(aad).to_bytes(2, "big") + aad, plaintext):
        blocks += part + bytes(-len(part) % 16)
    mac = bytes(16)
    for at in range(0, len(blocks), 16):
        mac = aes(key, bytes(a ^ b for a, b in zip(mac, blocks[at : at + 16], strict=True)))
    stream = b"".join(
        aes(key, bytes([width - 1]) + nonce + i.to_bytes(width, "big"))
        for i in range(2 + len(plaintext) // 16)
    )
    sealed = bytes(a ^ b for a, b in zip(plaintext, stream[16:], strict=False))
    return sealed + bytes(a ^ b for a, b in zip(mac, stream, strict=False))[:tag_length]


def test_the_formulas_of_ccm_make_the_example_of_rfc_9052():
    """Appendix C.4.1, AES-CCM-16-64-128: so that the next test stands on something published."""
    aad = cbor2.dumps(["Encrypt0", b"\xa1\x01\x0a", b""])
    sealed = ccm(
        bytes.fromhex("849b5786457c1491be3a76dcea6c4271"),
        bytes.fromhex("89f52f65a1c580933b5261a78c"),
        aad,
        b"This is the content.",
        8,
    )
    assert sealed.hex() == "5974e1b99a3a4cc09a659aa2e9e7fff161d38ce71cb45ce460ffb569"


@pytest.mark.parametrize("suite", CCM)
def test_ccm_suites_make_what_the_formulas_make(suite):
    keys = derive(suite, SECRET)
    nonce = counting(13 if "CCM_16" in suite.name else 7)
    protected = cbor2.dumps({1: int(suite)})
    sealed = ccm(keys.sek, nonce, cbor2.dumps(["Encrypt0", protected, b""]), MESSAGE * 30, 16)
    expected = cbor2.dumps(cbor2.CBORTag(16, [protected, {5: nonce}, sealed]))
    assert seal(suite, keys, MESSAGE * 30, counting) == expected
    assert open_(suite, keys, expected) == MESSAGE * 30


def test_more_than_ccm_can_count_is_our_own_error():
    suite = CipherSuite.CCM_16_128_128
    keys = derive(suite, SECRET)
    assert len(open_(suite, keys, seal(suite, keys, bytes(65535), counting))) == 65535
    with pytest.raises(LocalError):
        seal(suite, keys, bytes(65536), counting)
    long = cbor2.dumps(cbor2.CBORTag(16, [cbor2.dumps({1: 30}), {5: counting(13)}, bytes(70000)]))
    with pytest.raises(MalformedMessage):
        open_(suite, keys, long)


def pri_message(suite, iv, *, tagged):
    """As pri-fidoiot spells encrypt-then-MAC: SVK of twice the SEK, the FDO number in the protected header, the
    MAC straight over the COSE_Encrypt0."""
    length = suite.key_length
    prf = hashes.SHA384() if length == 32 else hashes.SHA256()
    both = KBKDFHMAC(
        prf,
        Mode.CounterMode,
        3 * length,
        1,
        2,
        CounterLocation.BeforeFixed,
        b"FIDO-KDF",
        b"AutomaticOnboardTunnel",
        None,
    ).derive(SECRET)
    if suite in (CipherSuite.AES128_CTR, CipherSuite.AES256_CTR):
        mode, padded = modes.CTR(iv), MESSAGE
    else:
        mode, padded = modes.CBC(iv), MESSAGE + bytes([13] * 13)
    ciphertext = Cipher(algorithms.AES(both[:length]), mode).encryptor().update(padded)
    item = [cbor2.dumps({1: int(suite)}), {5: iv}, ciphertext]
    inner = cbor2.dumps(cbor2.CBORTag(16, item) if tagged else item)
    tag = std_hmac.digest(both[length:], inner, prf.name.replace("-", ""))
    return cbor2.dumps(cbor2.CBORTag(17, [cbor2.dumps({1: 5 if length == 16 else 6}), {}, inner, tag]))


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize("suite", [suite for suite in CipherSuite if not suite.is_aead])
def test_the_other_spelling_of_encrypt_then_mac_opens(suite, tagged):
    iv = counting(12) + bytes(4)
    octets = pri_message(suite, iv, tagged=tagged)
    keys = derive(suite, SECRET, dialect=Dialect.SPEC)
    assert open_(suite, keys, octets, Dialect.SPEC) == MESSAGE
    candidates = [(derive(suite, SECRET, dialect=dialect), dialect) for dialect in Dialect]
    assert open_first(suite, candidates, octets) == (MESSAGE, keys, Dialect.SPEC)
    if not tagged:
        assert seal(suite, keys, MESSAGE, lambda _length: iv, Dialect.SPEC) == octets


@pytest.mark.parametrize("suite", [suite for suite in CipherSuite if not suite.is_aead])
def test_an_authentic_message_whose_inside_is_wrong_is_refused_cleanly(suite):
    """Whoever has the SVK may still send anything: padding, IV and shape are checked after the MAC."""
    keys = derive(suite, SECRET)
    inside = [
        b"\x80",
        cbor2.dumps([b"", {5: bytes(12)}, bytes(16)]),
        cbor2.dumps([b"", {}, bytes(16)]),
        cbor2.dumps([b"", {5: bytes(16)}, None]),
        b"\xff",
    ]
    if suite in (CipherSuite.AES128_CBC, CipherSuite.AES256_CBC):
        inside += [cbor2.dumps([b"", {5: bytes(16)}, bytes(n)]) for n in (0, 15, 16, 17)]
    for inner in inside:
        protected = cbor2.dumps({1: 6 if suite.prf == "sha384" else 5})
        tag = std_hmac.digest(keys.svk, cbor2.dumps(["MAC0", protected, b"", inner]), suite.prf)
        with pytest.raises((MalformedMessage, NotAuthenticated)):
            open_(suite, keys, cbor2.dumps(cbor2.CBORTag(17, [protected, {}, inner, tag])))


@pytest.mark.parametrize(("suite", "dialect"), EVERY)
def test_no_suite_opens_what_another_sealed(suite, dialect):
    octets = seal(suite, derive(suite, SECRET, dialect=dialect), MESSAGE, counting, dialect)
    for other in CipherSuite:
        if other is not suite:
            with pytest.raises((MalformedMessage, NotAuthenticated)):
                open_(other, derive(other, SECRET, dialect=dialect), octets, dialect)


def test_no_session_key_is_in_a_repr():
    shared = kex.Shared(SECRET, b"context", (b"other",))
    keys = SessionKeys(b"sek sek sek sek ", b"svk svk svk svk ")
    assert (repr(shared), repr(keys)) == ("Shared()", "SessionKeys()")


def pi_times_two_to_the(bits):
    """floor(2^bits * pi), by Machin's formula."""
    one = 1 << (bits + 64)

    def arctan_of_inverse(x):
        total, power, n = 0, one // x, 1
        while power:
            total += power // n if n % 4 == 1 else -(power // n)
            power //= x * x
            n += 2
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239)) >> 64


@pytest.mark.parametrize(("prime", "bits", "offset"), [(PRIME_14, 2048, 124476), (PRIME_15, 3072, 1690314)])
def test_the_groups_are_those_of_rfc_3526(prime, bits, offset):
    """Sections 3 and 4: p = 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + offset)."""
    pi = pi_times_two_to_the(bits - 130)
    assert prime == 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi + offset)


def test_a_diffie_hellman_secret_with_leading_zeros_comes_padded_and_short():
    """Exponents of our choice: (2^(2*1019) mod p) is a small power of two, eight octets of zeros in front."""
    private = (2).to_bytes(32, "big")
    x_b = (1 << 992).to_bytes(125, "big")
    shared = kex.owner_finish(KexSuite.DHKEXID14, private, x_b, OWNER)
    assert shared.secret == (1 << 1984).to_bytes(256, "big")
    assert shared.alternatives == ((1 << 1984).to_bytes(249, "big"),)


@pytest.mark.parametrize("suite", [KexSuite.ECDH256, KexSuite.ECDH384])
def test_a_point_off_the_curve_and_a_parameter_with_more_or_less_is_malformed(suite):
    private, x_a = kex.owner_begin(suite, counting)
    width = 32 if suite is KexSuite.ECDH256 else 48
    flipped = bytearray(x_a)
    flipped[2 + width + 2 + width - 1] ^= 1
    for parameter in (bytes(flipped), x_a + b"\x00", x_a[:-1], b"", x_a[: 2 * (2 + width)] + b"\x00\x00"):
        with pytest.raises(MalformedMessage):
            kex.owner_finish(suite, private, parameter, OWNER)
        with pytest.raises(MalformedMessage):
            kex.device_answer(suite, parameter, counting, OWNER.public)


@pytest.mark.parametrize("suite", list(HashType))
def test_a_hash_is_no_hmac_and_an_hmac_no_hash(suite):
    width = hashlib.sha384 if suite in (HashType.SHA384, HashType.HMAC_SHA384) else hashlib.sha256
    if suite in (HashType.SHA256, HashType.SHA384):
        assert digest(suite, b"a", b"b") == width(b"ab").digest()
        with pytest.raises(MalformedMessage):
            hmac(suite, b"key", b"data")
    else:
        assert hmac(suite, b"key", b"data") == std_hmac.new(b"key", b"data", width).digest()
        with pytest.raises(MalformedMessage):
            digest(suite, b"data")


@pytest.mark.parametrize("number", [0, -44, 7, 1000])
def test_a_hash_type_that_nobody_knows_is_malformed(number):
    with pytest.raises(MalformedMessage):
        digest(number, b"")
    with pytest.raises(MalformedMessage):
        hmac(number, b"", b"")
