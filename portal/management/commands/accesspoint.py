"""RADIUS clients: ``manage.py accesspoint add --organization O --address CIDR --secret S``."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.models import AccessPoint, Organization
from devices.services.access import access_point_delete, access_point_save, address_clean
from portal.management.base import migrate_if_needed


class Command(BaseCommand):
    """RADIUS clients: ``manage.py accesspoint add --organization O --address CIDR --secret S``."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Three actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="register a client, or give it a new secret")
        add.add_argument("--organization", required=True)
        add.add_argument("--address", required=True, help="192.0.2.7 or 192.0.2.0/24")
        add.add_argument("--secret", required=True)
        add.add_argument("--name", default="")
        actions.add_parser("list", help="every client, without secrets")
        remove = actions.add_parser("remove", help="stop listening to a client")
        remove.add_argument("--address", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; a mistake is one sentence."""
        migrate_if_needed()
        try:
            getattr(self, f"_{options['action']}")(options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error

    def _add(self, options: dict[str, Any]) -> None:
        organization = Organization.objects.filter(name=options["organization"]).first()
        if organization is None:
            raise CommandError(f"there is no organization called {options['organization']!r}")
        point = access_point_save(
            organization, None, address=options["address"], secret=options["secret"], name=options["name"]
        )
        self.stdout.write(f"{point.address} may relay devices to {organization}")

    def _list(self, options: dict[str, Any]) -> None:
        for point in AccessPoint.objects.select_related("organization").order_by("address"):
            self.stdout.write(f"{point.address}\t{point.organization}\t{point.name}")

    def _remove(self, options: dict[str, Any]) -> None:
        point = AccessPoint.objects.filter(address=address_clean(options["address"])).first()
        if point is None:
            raise CommandError("no such access point")
        access_point_delete(point, None)
