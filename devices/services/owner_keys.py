"""Keys of an organization: made, brought in, retired, rotated, exported."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bootstrap.errors import LocalError, PeerError
from bootstrap.wire.keys import KeyKind, PublicKeyHandle, Signer, SoftSigner
from bootstrap.wire.x509 import self_signed_ca
from devices.keys import fingerprint_of, seal_key
from devices.models import Organization, OwnerKey, User
from devices.pkcs11 import token_signer
from devices.services.audit import audit_write
from devices.services.revision import revision_bump

CERTIFICATE_YEARS = 30
"""As other manufacturers issue (fdo.md 3.4): devices have no clock to doubt it with."""
PEM_MAX_LENGTH = 64 * 1024


def owner_key_make(
    organization: Organization, actor: User | None, kind: str = "P-256", **words: Any
) -> OwnerKey:
    """A new key pair, sealed here. ``words``: purpose, encoding, pss, name. Raises ValidationError by field."""
    return _save(organization, actor, SoftSigner.generate(_kind(kind)), "owner-key.made", words)


def owner_key_import(
    organization: Organization, actor: User | None, pem: bytes, password: str = "", **words: Any
) -> OwnerKey:
    """A private key brought along, PEM (PKCS#8, SEC 1, PKCS#1), with its certificate in the same file if there
    is one. Raises ValidationError by field."""
    try:
        private = serialization.load_pem_private_key(
            pem[:PEM_MAX_LENGTH], password.encode() if password else None
        )
        pkcs8 = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signer = SoftSigner.from_pkcs8(pkcs8)
    except (ValueError, TypeError, PeerError, LocalError) as error:
        raise ValidationError({"pem": _("This is not a private key that we can use.")}) from error
    certificate = _certificate_in(pem, signer.public)
    return _save(organization, actor, signer, "owner-key.imported", words, certificate=certificate)


def owner_key_from_token(organization: Organization, actor: User | None, uri: str, **words: Any) -> OwnerKey:
    """A key that stays in a PKCS#11 token. For operators only: a token knows nothing of organizations."""
    try:
        signer = token_signer(uri)
    except (LocalError, PeerError) as error:
        raise ValidationError({"uri": str(error)}) from error
    return _save(organization, actor, signer, "owner-key.from-token", words, pkcs11_uri=uri.strip())


@transaction.atomic
def _save(
    organization: Organization,
    actor: User | None,
    signer: Signer | SoftSigner,
    deed: str,
    words: dict[str, Any],
    *,
    certificate: bytes | None = None,
    pkcs11_uri: str = "",
) -> OwnerKey:
    key = OwnerKey(
        organization=organization,
        kind=signer.public.kind.value,
        public=signer.public.der,
        fingerprint=fingerprint_of(signer.public),
        certificate=certificate,
        pkcs11_uri=pkcs11_uri,
        backend=OwnerKey.Backend.PKCS11 if pkcs11_uri else OwnerKey.Backend.SEALED,
        **words,
    )
    if isinstance(signer, SoftSigner):
        key.sealed = seal_key(signer)
    _check(key)
    if key.certificate is None and _needs_certificate(key):
        name = f"{organization.name} {key.get_purpose_display().split(':')[0]}"[:64]
        key.certificate = self_signed_ca(signer, name, timezone.now(), CERTIFICATE_YEARS)
    key.save()
    audit_write(organization, actor, deed, key.fingerprint[:32], **_said(key))
    revision_bump()
    return key


def _check(key: OwnerKey) -> None:
    if key.pss and not key.kind.startswith("RSA"):
        raise ValidationError({"pss": _("PSS is for RSA keys.")})
    key.name = key.name.strip()
    key.clean_fields(exclude=["public", "sealed", "certificate"])
    same = OwnerKey.objects.filter(
        organization=key.organization, purpose=key.purpose, fingerprint=key.fingerprint
    )
    if same.exists():
        raise ValidationError({"pem": _("This key is here already.")})


def _needs_certificate(key: OwnerKey) -> bool:
    return key.purpose == OwnerKey.Purpose.DEVICE_CA or key.encoding == OwnerKey.Encoding.X5CHAIN


def _said(key: OwnerKey) -> dict[str, str]:
    return {"kind": key.kind, "purpose": key.purpose, "backend": key.backend, "name": key.name}


@transaction.atomic
def owner_key_retire(key: OwnerKey, actor: User | None) -> OwnerKey:
    """No new voucher ends in it; those it holds it still serves. Twice is once."""
    row = OwnerKey.objects.select_for_update().get(pk=key.pk)
    if row.state == OwnerKey.State.ACTIVE:
        row.state, row.retired_at = OwnerKey.State.RETIRED, timezone.now()
        row.save(update_fields=["state", "retired_at"])
        audit_write(row.organization, actor, "owner-key.retired", row.fingerprint[:32], **_said(row))
        revision_bump()
    key.refresh_from_db(fields=["state", "retired_at"])
    return key


@transaction.atomic
def owner_key_rotate(key: OwnerKey, actor: User | None) -> OwnerKey:
    """A new key like this one, which retires."""
    if key.backend == OwnerKey.Backend.PKCS11:
        raise ValidationError({"key": _("Make the new key in the token, and add it.")})
    fresh = owner_key_make(
        key.organization,
        actor,
        key.kind,
        purpose=key.purpose,
        encoding=key.encoding,
        pss=key.pss,
        name=key.name,
    )
    owner_key_retire(key, actor)
    return fresh


def owner_key_active(
    organization: Organization, purpose: str = OwnerKey.Purpose.OWNER, kind: str = ""
) -> OwnerKey | None:
    """The newest active key for the purpose (and of the kind)."""
    found = OwnerKey.objects.filter(
        organization=organization, purpose=purpose, state=OwnerKey.State.ACTIVE
    ).order_by("-pk")
    return found.filter(kind=_kind(kind).value).first() if kind else found.first()


def owner_key_ensure(
    organization: Organization, actor: User | None, purpose: str, kind: str, **words: Any
) -> OwnerKey:
    """The active one, or a new one."""
    return owner_key_active(organization, purpose, kind) or owner_key_make(
        organization, actor, kind, purpose=purpose, **words
    )


def owner_key_pem(key: OwnerKey) -> str:
    """The public half, for whoever extends vouchers to us: a certificate where there is one, else the key."""
    certified = key.certificate and key.encoding == OwnerKey.Encoding.X5CHAIN
    return certificate_pem(key) if certified else public_key_pem(key)


def certificate_pem(key: OwnerKey) -> str:
    """Its certificate, which it must have."""
    certificate = x509.load_der_x509_certificate(bytes(key.certificate or b""))
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def public_key_pem(key: OwnerKey) -> str:
    """Its public half."""
    return public_pem(bytes(key.public))


def public_pem(spki: bytes) -> str:
    """SubjectPublicKeyInfo as PEM."""
    public = serialization.load_der_public_key(spki)
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def public_in(pem: bytes) -> tuple[PublicKeyHandle, tuple[bytes, ...]]:
    """The public key that a person gave us as PEM (key, certificate or chain) or DER, and its chain, leaf first.
    Raises ValidationError."""
    der, pem = pem[:PEM_MAX_LENGTH], pem[:PEM_MAX_LENGTH].strip()
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            chain = tuple(
                one.public_bytes(serialization.Encoding.DER) for one in x509.load_pem_x509_certificates(pem)
            )
            return PublicKeyHandle.from_certificate(chain[0]), chain
        if pem.startswith(b"-----BEGIN"):
            public = serialization.load_pem_public_key(pem)
            der = public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return PublicKeyHandle.from_spki(der), ()
        return PublicKeyHandle.from_spki(der), ()  # not stripped: a key may end in an octet that is a space
    except (ValueError, TypeError, PeerError, UnsupportedAlgorithm) as error:
        raise ValidationError(
            {"pem": _("This is not a public key or certificate that we can use.")}
        ) from error


def _certificate_in(pem: bytes, public: PublicKeyHandle) -> bytes | None:
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ValidationError({"pem": _("The certificate cannot be read.")}) from error
    der = certificate.public_bytes(serialization.Encoding.DER)
    if PublicKeyHandle.from_certificate(der).der != public.der:
        raise ValidationError({"pem": _("The certificate is another key's.")})
    return der


def _kind(text: str) -> KeyKind:
    try:
        return KeyKind(text)
    except ValueError as error:
        kinds = ", ".join(kind.value for kind in KeyKind)
        raise ValidationError({"kind": _("A key is one of %s.") % kinds}) from error
