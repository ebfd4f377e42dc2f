"""Keys of the organization: made, brought along, rotated, retired. Private halves never leave."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from devices.models import OwnerKey, Voucher
from devices.models.keys import KIND_CHOICES
from devices.services.fdo import manufacturer_trust
from devices.services.owner_keys import (
    PEM_MAX_LENGTH,
    owner_key_import,
    owner_key_make,
    owner_key_retire,
    owner_key_rotate,
    public_pem,
)
from portal.pages.access import member, membership_of
from portal.pages.admin.tabs import actor_of, blame, confirm, managed, page, show


class WordsForm(forms.Form):
    """What is said of a key, wherever it comes from."""

    purpose = forms.ChoiceField(label=gettext_lazy("What it is for"), choices=OwnerKey.Purpose.choices)
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("For people, like “2027 line”."),
    )
    encoding = forms.ChoiceField(
        label=gettext_lazy("How vouchers carry it"),
        choices=OwnerKey.Encoding.choices,
        help_text=gettext_lazy("X509 suits every device we know. X5CHAIN comes with a certificate."),
    )
    pss = forms.BooleanField(
        label=gettext_lazy("RSA signatures are PSS"),
        required=False,
        help_text=gettext_lazy("Only for RSA keys, and only if the devices know it."),
    )


class MakeForm(WordsForm):
    """A key that is made here."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Type"),
        choices=KIND_CHOICES,
        help_text=gettext_lazy("A voucher's next key has the type of the one before it."),
    )
    field_order = ("purpose", "kind", "name")


class ImportForm(WordsForm):
    """A key that exists."""

    pem = forms.CharField(
        label=gettext_lazy("Private key, PEM"),
        required=False,
        max_length=PEM_MAX_LENGTH,
        widget=forms.Textarea(
            attrs={
                "rows": "6",
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "-----BEGIN PRIVATE KEY-----",
            }
        ),
        help_text=gettext_lazy("With its certificate below it, if it has one."),
    )
    file = forms.FileField(
        label=gettext_lazy("or its file"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".pem,.key"}),
    )
    password = forms.CharField(
        label=gettext_lazy("Password of the key"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Empty if it has none. It is used once and not kept."),
    )
    field_order = ("pem", "file", "password", "purpose", "name")


def _keys(request: HttpRequest) -> QuerySet[OwnerKey]:
    return OwnerKey.objects.filter(organization=membership_of(request).organization).annotate(
        ending=_vouchers("owner_fingerprint"), beginning=_vouchers("manufacturer_fingerprint")
    )


def _vouchers(field: str) -> Coalesce:
    """How many vouchers in use name the key there."""
    rows = (
        Voucher.objects.filter(
            **{field: OuterRef("fingerprint")}, organization=OuterRef("organization"), current=True
        )
        .order_by()
        .values(field)
        .annotate(many=Count("pk"))
        .values("many")
    )
    return Coalesce(Subquery(rows, output_field=IntegerField()), 0)


def _used(key: Any) -> str:
    """What hangs on it, in words."""
    if key.purpose == OwnerKey.Purpose.OWNER:
        ending: int = key.ending
        return ngettext("%d voucher ends in it", "%d vouchers end in it", ending) % ending
    if key.purpose == OwnerKey.Purpose.MANUFACTURER:
        beginning: int = key.beginning
        return ngettext("%d voucher begins with it", "%d vouchers begin with it", beginning) % beginning
    return _("signs device certificates")


@page
def index(request: HttpRequest) -> HttpResponse:
    """Every key by what it is for, and a form that makes one."""
    form = MakeForm(request.POST or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        words = dict(form.cleaned_data)
        try:
            key = owner_key_make(
                membership_of(request).organization, actor_of(request), words.pop("kind"), **words
            )
        except ValidationError as error:
            blame(form, error)
        else:
            return _made(request, key, _("The key is made. Its private half is sealed here and never shown."))
    rows = [(key, _used(key)) for key in _keys(request).order_by("state", "-pk")]
    purposes = [
        (label, [row for row in rows if row[0].purpose == value]) for value, label in OwnerKey.Purpose.choices
    ]
    context = {
        "form": form,
        "purposes": [(*_halves(label), found) for label, found in purposes],
        "any": bool(rows),
    }
    return show(request, "settings-keys", "admin/keys.html", context)


def _halves(label: Any) -> tuple[str, str]:
    """`Owner: vouchers end in it` as a heading and its explanation."""
    head, _colon, rest = str(label).partition(":")
    return head, rest.strip()


def _made(request: HttpRequest, key: OwnerKey, said: str) -> HttpResponse:
    """Our own manufacturer keys are trusted from the start."""
    if key.purpose == OwnerKey.Purpose.MANUFACTURER:
        manufacturer_trust(key.organization, actor_of(request), bytes(key.public), str(key.organization))
    messages.success(request, said)
    return redirect("settings-key", key.pk)


@managed
def bring(request: HttpRequest) -> HttpResponse:
    """A private key that was made elsewhere."""
    form = ImportForm(request.POST or None, request.FILES or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        words = dict(form.cleaned_data)
        upload, text = words.pop("file"), words.pop("pem")
        pem = upload.read(PEM_MAX_LENGTH + 1) if upload else text.encode()
        try:
            key = _brought(request, pem, words)
        except ValidationError as error:
            blame(form, error)
        else:
            return _made(request, key, _("The key is here, sealed. Destroy the copies that you do not need."))
    return show(request, "settings-keys", "admin/key_import.html", {"form": form})


def _brought(request: HttpRequest, pem: bytes, words: dict[str, Any]) -> OwnerKey:
    if not pem.strip():
        raise ValidationError({"pem": _("Paste the key, or choose its file.")})
    organization, password = membership_of(request).organization, words.pop("password")
    return owner_key_import(organization, actor_of(request), pem, password, **words)


def _key(request: HttpRequest, pk: int) -> OwnerKey:
    return get_object_or_404(_keys(request), pk=pk)


@never_cache
@require_safe
@member
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One key: what is public about it."""
    key = _key(request, pk)
    head, rest = _halves(key.get_purpose_display())
    context = {
        "key": key,
        "purpose": head,
        "purpose_words": rest,
        "used": _used(key),
        "pem": public_pem(bytes(key.public)),
        "until": _certificate(key).not_valid_after_utc if key.certificate else None,
    }
    return show(request, "settings-keys", "admin/key.html", context)


def _certificate(key: OwnerKey) -> x509.Certificate:
    assert key.certificate is not None
    return x509.load_der_x509_certificate(bytes(key.certificate))


@never_cache
@require_safe
@member
def public(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """The public half as a file: the key, or its certificate."""
    key = _key(request, pk)
    if what == "certificate" and not key.certificate:
        raise Http404("no certificate")
    pem = (
        _certificate(key).public_bytes(Encoding.PEM).decode()
        if what == "certificate"
        else public_pem(bytes(key.public))
    )
    answer = HttpResponse(pem, content_type="application/x-pem-file")
    answer["Content-Disposition"] = f'attachment; filename="{key.purpose}-{key.fingerprint[:16]}-{what}.pem"'
    return answer


@managed
def rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """A fresh one like it takes its place."""
    key = _key(request, pk)
    if request.method == "POST":
        try:
            fresh = owner_key_rotate(key, actor_of(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return redirect("settings-key", pk)
        return _made(
            request, fresh, _("This is the new key. The old one is retired and still serves what it has.")
        )
    text = {
        OwnerKey.Purpose.OWNER: _(
            "A new key of the same type is made. Whoever extends vouchers to you needs its public half from now "
            "on; vouchers that end in the old key still onboard."
        ),
        OwnerKey.Purpose.MANUFACTURER: _(
            "A new key of the same type is made, and trusted here. Vouchers made from now on begin with it: give "
            "its fingerprint to whoever buys your devices."
        ),
        OwnerKey.Purpose.DEVICE_CA: _("A new certificate authority signs the devices from now on."),
    }[OwnerKey.Purpose(key.purpose)]
    return _ask(request, key, _("Rotate %s?") % key, text, _("Make a new key"))


@managed
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Nothing new is done with it."""
    key = _key(request, pk)
    if request.method == "POST":
        owner_key_retire(key, actor_of(request))
        messages.success(request, _("%s is retired.") % key)
        return redirect("settings-key", pk)
    text = _("Nothing new is done with it. What it has it still serves, and it cannot be made active again.")
    if _is_last(key):
        text += " " + _(
            "It is your only active key for this: make another one first, or devices are turned away."
        )
    return _ask(request, key, _("Retire %s?") % key, text, _("Retire"))


def _is_last(key: OwnerKey) -> bool:
    active = OwnerKey.objects.filter(
        organization=key.organization, purpose=key.purpose, state=OwnerKey.State.ACTIVE
    )
    return key.state == OwnerKey.State.ACTIVE and not active.exclude(pk=key.pk).exists()


def _ask(request: HttpRequest, key: OwnerKey, title: str, text: str, label: str) -> HttpResponse:
    if key.state == OwnerKey.State.RETIRED:
        messages.warning(request, _("This key is retired already."))
        return redirect("settings-key", key.pk)
    back = reverse("settings-key", args=[key.pk])
    return confirm(request, title=title, text=text, label=label, back=back)


urlpatterns = [
    path("settings/keys", index, name="settings-keys"),
    path("settings/keys/import", bring, name="settings-key-import"),
    path("settings/keys/<int:pk>", detail, name="settings-key"),
    path("settings/keys/<int:pk>/public.pem", public, {"what": "public"}, name="settings-key-public"),
    path(
        "settings/keys/<int:pk>/certificate.pem",
        public,
        {"what": "certificate"},
        name="settings-key-certificate",
    ),
    path("settings/keys/<int:pk>/rotate", rotate, name="settings-key-rotate"),
    path("settings/keys/<int:pk>/retire", retire, name="settings-key-retire"),
]
