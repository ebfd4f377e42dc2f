"""FIDO Device Onboard: ``manage.py fdo setup --organization O``, owner keys, voucher import, registration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from bootstrap.bindings.vouchers import jobs
from bootstrap.bindings.vouchers.register import register_due
from devices.models import Job, JobRow, Organization, OwnerKey, Registration
from devices.services.fdo import fdo_setup
from devices.services.owner_keys import (
    owner_key_active,
    owner_key_ensure,
    owner_key_from_token,
    owner_key_import,
    owner_key_make,
    owner_key_pem,
    owner_key_retire,
    owner_key_rotate,
)
from portal.management.base import migrate_if_needed

CHUNK_LENGTH = 1024 * 1024
SHOWN_MAX = 20
KINDS = ("P-256", "P-384", "RSA-2048", "RSA-3072")


class Command(BaseCommand):
    """FIDO Device Onboard: ``manage.py fdo setup --organization O``, owner keys, voucher import, registration."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Four nouns."""
        actions = parser.add_subparsers(dest="action", required=True)
        setup = actions.add_parser("setup", help="make the organization manufacturer and owner in one step")
        setup.add_argument("--organization", required=True)
        setup.add_argument("--rendezvous", default="", help="rendezvous server; else the portal's own")
        setup.add_argument("--key-type", choices=KINDS, default="P-256")
        setup.add_argument("--json", action="store_true", help="for programs")
        _owner_key(actions.add_parser("owner-key", help="keys that vouchers end in"))
        bring = actions.add_parser("import", help="take vouchers in, and say what became of each")
        bring.add_argument("--organization", required=True)
        bring.add_argument("--json", action="store_true", help="for programs")
        bring.add_argument("files", nargs="+", type=Path, metavar="FILE", help="PEM, CBOR, zip or tar.gz")
        register = actions.add_parser("register", help="register now whatever is due at rendezvous servers")
        register.add_argument("--organization", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; a mistake is one sentence."""
        migrate_if_needed()
        action = options["action"].replace("-", "_")
        if action == "owner_key":
            action = f"key_{options['deed']}"
        try:
            getattr(self, f"_{action}")(options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error

    def _setup(self, options: dict[str, Any]) -> None:
        organization = _organization(options["organization"])
        row = fdo_setup(organization, None, rendezvous=options["rendezvous"], key_kind=options["key_type"])
        portal = settings.PORTAL_URL or "http://localhost:8000"
        own = f"{portal}/di/{row.di_token}"
        owner = owner_key_active(organization, OwnerKey.Purpose.OWNER, options["key_type"])
        said = {
            "organization": organization.name,
            "di": portal if row.di_default else own,
            "di_line": own,
            "rendezvous": row.rendezvous_urls or [portal],
            "owner_key": owner.fingerprint if owner else "",
            "key_type": options["key_type"],
        }
        if options["json"]:
            self.stdout.write(json.dumps(said))
            return
        self.stdout.write(f"Devices run DI at {said['di']} (only this organization: {own})")
        self.stdout.write(f"Their vouchers end in owner key {said['owner_key'][:16]} ({said['key_type']})")
        self.stdout.write(f"and are registered at {', '.join(row.rendezvous_urls or [portal])}")

    def _key_export(self, options: dict[str, Any]) -> None:
        organization = _organization(options["organization"])
        key = owner_key_ensure(organization, None, OwnerKey.Purpose.OWNER, options["key_type"])
        self.stdout.write(owner_key_pem(key).strip())

    def _key_make(self, options: dict[str, Any]) -> None:
        organization = _organization(options["organization"])
        words = {"purpose": options["purpose"], "encoding": options["encoding"], "name": options["name"]}
        words["pss"] = options["pss"]
        if options["token"]:
            key = owner_key_from_token(organization, None, options["token"], **words)
        elif options["file"]:
            key = owner_key_import(organization, None, options["file"].read_bytes(), **words)
        else:
            key = owner_key_make(organization, None, options["key_type"], **words)
        self.stdout.write(key.fingerprint)

    def _key_list(self, options: dict[str, Any]) -> None:
        keys = OwnerKey.objects.filter(organization=_organization(options["organization"])).order_by("pk")
        for key in keys:
            words = (key.fingerprint, key.kind, key.purpose, key.state, key.backend, key.name)
            self.stdout.write("\t".join(words))

    def _key_retire(self, options: dict[str, Any]) -> None:
        owner_key_retire(_key(options), None)

    def _key_rotate(self, options: dict[str, Any]) -> None:
        self.stdout.write(owner_key_rotate(_key(options), None).fingerprint)

    def _import(self, options: dict[str, Any]) -> None:
        organization = _organization(options["organization"])
        rejected = 0
        for path in options["files"]:
            try:
                job = jobs.import_create(organization, None, _chunks(path), path.name)
            except OSError as error:
                raise CommandError(f"{path}: {error.strerror}") from error
            jobs.import_run(job.pk)
            job.refresh_from_db()
            rejected += job.rejected
            self._say(path, job, as_json=options["json"])
        if rejected:
            raise CommandError(f"{rejected} rejected", returncode=1)

    def _say(self, path: Path, job: Job, *, as_json: bool) -> None:
        counts = {
            "job": job.pk,
            "state": job.state,
            "total": job.total,
            "added": job.added,
            "already_here": job.already_here,
            "rejected": job.rejected,
        }
        if as_json:
            self.stdout.write(json.dumps(counts | {"file": str(path), "error": job.error_code}))
            return
        if job.state == Job.State.FAILED:
            raise CommandError(f"{path}: {job.error_code} {job.error}")
        self.stdout.write(
            f"{path}: {job.added} added, {job.already_here} already here, {job.rejected} rejected"
        )
        for row in job.rows.filter(outcome=JobRow.Outcome.REJECTED).order_by("number")[:SHOWN_MAX]:
            said = " ".join(f"{name}={value}" for name, value in row.detail.items())
            self.stdout.write(f"  {row.number}\t{row.guid}\t{row.code}\t{said}")

    def _register(self, options: dict[str, Any]) -> None:
        rows = Registration.objects.exclude(state=Registration.State.OFF)
        if options["organization"]:
            rows = rows.filter(voucher__organization=_organization(options["organization"]))
        while register_due(timezone.now()):
            continue
        for row in rows.select_related("voucher").order_by("pk"):
            until = row.lease_until.isoformat(timespec="seconds") if row.lease_until else "-"
            self.stdout.write(f"{row.voucher.guid}\t{row.url}\t{row.state}\t{until}\t{row.last_error}")


def _owner_key(parser: CommandParser) -> None:
    deeds = parser.add_subparsers(dest="deed", required=True)
    export = deeds.add_parser("export", help="print the public key, PEM; make the key if there is none")
    export.add_argument("--key-type", choices=KINDS, default="P-256")
    make = deeds.add_parser("make", help="make a key, or add one from a file or a PKCS#11 token")
    make.add_argument("--key-type", choices=KINDS, default="P-256")
    make.add_argument("--purpose", choices=OwnerKey.Purpose.values, default=OwnerKey.Purpose.OWNER)
    make.add_argument("--encoding", choices=OwnerKey.Encoding.values, default=OwnerKey.Encoding.X509)
    make.add_argument("--pss", action="store_true", help="RSA signatures are PSS")
    make.add_argument("--name", default="")
    make.add_argument("--token", default="", metavar="URI", help="pkcs11:token=T;object=O")
    make.add_argument("--file", type=Path, help="a private key, PEM")
    show = deeds.add_parser("list", help="every key, without secrets")
    retire = deeds.add_parser("retire", help="no new voucher ends in it; those it has it still serves")
    rotate = deeds.add_parser("rotate", help="a new key like this one, which retires")
    for deed in (retire, rotate):
        deed.add_argument("fingerprint", help="its beginning is enough")
    for deed in (export, make, show, retire, rotate):
        deed.add_argument("--organization", required=True)


def _organization(name: str) -> Organization:
    found = Organization.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"there is no organization called {name!r}")
    return found


def _key(options: dict[str, Any]) -> OwnerKey:
    keys = OwnerKey.objects.filter(
        organization=_organization(options["organization"]), fingerprint__startswith=options["fingerprint"]
    )
    if len(keys) != 1:
        raise CommandError(f"{len(keys)} keys have a fingerprint that begins like this")
    return keys[0]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_LENGTH):
            yield chunk
