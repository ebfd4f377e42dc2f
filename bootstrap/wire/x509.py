"""X.509 as bootstrapping needs it: a device CA, device certificates from a request, and chains without a clock.

Devices live for decades and often have no clock when they are bootstrapped, so no time is compared here
(fdo.md 3.4: 30-year certificates); whether a certificate is too old is the caller's policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from bootstrap.errors import LocalError, MalformedMessage, NotAuthenticated
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, Signer, SoftSigner, default_algorithm

CHAIN_MAX = 16
CERTIFICATE_MAX_LENGTH = 8192
"""Octets of DER."""
_SHA1 = frozenset({SignatureAlgorithmOID.RSA_WITH_SHA1, SignatureAlgorithmOID.ECDSA_WITH_SHA1})
_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
COMMON_NAME_MAX_LENGTH = 64
"""ub-common-name (RFC 5280 appendix A)."""


def self_signed_ca(signer: Signer, name: str, not_before: datetime, years: int) -> bytes:
    """A certificate authority of its own (DER): basicConstraints CA, keyCertSign. Raises LocalError."""
    public = _public(signer.public.der)
    with _ours():
        subject = _named(name or "CA")
        builder = (
            _builder(subject, subject, public, ca=True)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_before + timedelta(days=365 * years))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        return _sign(builder, signer)


def issue_device_certificate(
    csr: bytes,
    signer: Signer,
    issuer: bytes,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    common_name: str = "",
) -> bytes:
    """A device's certificate (DER) for the key of its PKCS#10 request, subject from the request unless
    ``common_name`` names another. Extensions that the request asks for are not granted. Raises MalformedMessage
    for what is no request, or one for a kind of key that is not supported; NotAuthenticated when the request is
    not signed by its own key; LocalError when ``issuer`` is not the certificate of ``signer``."""
    request = _request(csr)
    public = _public(_spki(request.public_key()))
    if PublicKeyHandle.from_certificate(issuer) != signer.public:
        raise LocalError("the CA's certificate is another key's")
    with _ours():
        ca = _certificate(issuer)
        subject = _named(common_name) if common_name else request.subject
        builder = (
            _builder(subject, ca.subject, public, ca=False)
            .serial_number(serial)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(_public(signer.public.der)), critical=False
            )
        )
        return _sign(builder, signer)


@contextmanager
def _ours() -> Iterator[None]:
    """What ``cryptography`` refuses in here came from us: times, a serial number, a key of a token."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise LocalError(f"certificate cannot be made: {error}") from error


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:COMMON_NAME_MAX_LENGTH])])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: _PublicKey, *, ca: bool
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
    )


def _public(der: bytes) -> _PublicKey:
    """Of the kinds that ``wire.keys`` knows. Raises MalformedMessage."""
    PublicKeyHandle.from_spki(der)
    return cast(_PublicKey, serialization.load_der_public_key(der))


def _spki(public: Any) -> bytes:
    der: bytes = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def request_key(csr: bytes) -> PublicKeyHandle:
    """The key that a PKCS#10 request proves to hold. Raises MalformedMessage, NotAuthenticated."""
    return PublicKeyHandle.from_spki(_spki(_request(csr).public_key()))


def common_name(certificate: bytes) -> str:
    """Of the subject; empty when there is none. Raises MalformedMessage."""
    return _attribute(certificate, NameOID.COMMON_NAME)


def serial_attribute(certificate: bytes) -> str:
    """The subject's serialNumber (2.5.4.5): of the device, not of the certificate. Raises MalformedMessage."""
    return _attribute(certificate, NameOID.SERIAL_NUMBER)


def _attribute(certificate: bytes, oid: x509.ObjectIdentifier) -> str:
    try:
        found = _certificate(certificate).subject.get_attributes_for_oid(oid)
    except ValueError:
        raise MalformedMessage("certificate's subject cannot be read") from None
    return str(found[0].value) if found else ""


def is_certificate(der: bytes) -> bool:
    """Whether the octets are an X.509 certificate at all."""
    try:
        _certificate(der)
    except MalformedMessage:
        return False
    return True


def is_signed_with_sha1(der: bytes) -> bool:
    """Whether a certificate has a signature that collisions may have forged. Raises MalformedMessage."""
    return _certificate(der).signature_algorithm_oid in _SHA1


def verify_chain(
    chain: Sequence[bytes], anchors: Sequence[bytes] = (), *, sha1: bool = False
) -> PublicKeyHandle:
    """The leaf's key, when each certificate is signed by the next and every issuer may sign. ``anchors``, if
    any: one of these certificates must be the last of the chain or have signed it. Times are not compared, and
    extensions other than basicConstraints and keyUsage are not judged. ``sha1`` takes signatures of old
    authorities too, for chains that something else vouches for; without effect where there are ``anchors``.
    Raises MalformedMessage, NotAuthenticated."""
    if not 0 < len(chain) <= CHAIN_MAX:
        raise MalformedMessage(f"a chain of {len(chain)} certificates")
    leaf, sha1 = _certificate(chain[0]), sha1 and not anchors
    for depth, (one, issuer) in enumerate(pairwise(chain)):
        _issued(one, issuer, depth, sha1) if depth else _must_sign(leaf, issuer, depth)
    if anchors and not _anchored(chain[-1], anchors, len(chain) - 1):
        raise NotAuthenticated("chain ends in no certificate that is trusted")
    return PublicKeyHandle.from_spki(_spki(_certificate_key(leaf)))


def _anchored(last: bytes, anchors: Sequence[bytes], depth: int) -> bool:
    if last in anchors:
        return True
    for anchor in anchors:
        try:
            _must_sign(_certificate(last), anchor, depth)
        except NotAuthenticated:
            continue
        return True
    return False


@lru_cache(maxsize=1024)
def _issued(one: bytes, issuer: bytes, depth: int, sha1: bool) -> None:
    """One link above the leaf: the same for every device of a factory, so it is verified once."""
    _must_sign(_certificate(one), issuer, depth, sha1)


def _must_sign(one: x509.Certificate, issuer: bytes, depth: int, sha1: bool = False) -> None:
    """``depth``: how many certificates below ``issuer`` are CAs themselves (RFC 5280 section 4.2.1.9)."""
    certificate, longest = _issuer(issuer)
    if longest is not None and depth > longest:
        raise NotAuthenticated("chain is longer than its CA allows")
    try:
        if sha1 and one.signature_algorithm_oid in _SHA1:
            _verify_sha1(one, certificate)
        else:
            one.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise NotAuthenticated("a certificate is not signed by the next one") from None


def _verify_sha1(one: x509.Certificate, issuer: x509.Certificate) -> None:
    """What ``verify_directly_issued_by`` does, for the hash that it no longer knows."""
    if one.issuer != issuer.subject:
        raise ValueError("another issuer")
    key, digest = issuer.public_key(), hashes.SHA1()  # noqa: S303 (the caller asked for it)
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(one.signature, one.tbs_certificate_bytes, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(one.signature, one.tbs_certificate_bytes, ec.ECDSA(digest))
    else:
        raise TypeError("another kind of key")


@lru_cache(maxsize=256)
def _issuer(der: bytes) -> tuple[x509.Certificate, int | None]:
    """A certificate that may sign others, and its pathLenConstraint. An old one without the extensions may."""
    certificate = _certificate(der)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and not constraints.ca:
        raise NotAuthenticated("a certificate that signs others is no CA's")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise NotAuthenticated("a certificate that signs others may not")
    return certificate, None if constraints is None else constraints.path_length


def _certificate_key(certificate: x509.Certificate) -> Any:
    try:
        return certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MalformedMessage("a certificate with a key of a kind that is not supported") from None


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise MalformedMessage("certificate's extensions cannot be read") from None


def _certificate(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_MAX_LENGTH:
        raise MalformedMessage("certificate is too long")
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, x509.InvalidVersion):
        raise MalformedMessage("not a certificate") from None


def _request(csr: bytes) -> x509.CertificateSigningRequest:
    if len(csr) > CERTIFICATE_MAX_LENGTH:
        raise MalformedMessage("certificate request is too long")
    try:
        request = x509.load_der_x509_csr(csr)
        sound = request.is_signature_valid
        _public(_spki(request.public_key()))
        request.subject.rfc4514_string()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise MalformedMessage("not a certificate request") from None
    if not sound:
        raise NotAuthenticated("certificate request is not signed by its own key")
    return request


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, signer: Signer) -> bytes:
    kind = signer.public.kind
    digest = hashes.SHA256() if kind in (KeyKind.P256, KeyKind.RSA2048) else hashes.SHA384()
    key: Any
    if isinstance(signer, SoftSigner):
        key = signer.private_key
    else:
        key = _TokenEcKey(signer) if kind.is_ec else _TokenRsaKey(signer)
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


class _TokenKey:
    """A Signer in the clothes of a private key of ``cryptography``, which only asks it to sign."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def public_key(self) -> Any:
        """Its public half."""
        return serialization.load_der_public_key(self._signer.public.der)

    @property
    def key_size(self) -> int:
        """In bits."""
        size: int = self.public_key().key_size
        return size

    def sign(self, data: bytes, *_scheme: Any) -> bytes:
        """By the key's own algorithm; ECDSA as X.509 writes it."""
        kind = self._signer.public.kind
        signature = self._signer.sign(default_algorithm(kind), data)
        if not kind.is_ec:
            return signature
        width = kind.coordinate_length
        r, s = signature[:width], signature[width:]
        return utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))

    def _no(self, *_: Any, **__: Any) -> Any:
        raise LocalError("this key only signs")

    private_bytes = private_numbers = exchange = decrypt = __copy__ = __deepcopy__ = _no


class _TokenEcKey(_TokenKey, ec.EllipticCurvePrivateKey):  # type: ignore[misc]
    @property
    def curve(self) -> ec.EllipticCurve:
        """Of the public half."""
        found: ec.EllipticCurve = self.public_key().curve
        return found


class _TokenRsaKey(_TokenKey, rsa.RSAPrivateKey):
    pass
