"""API tokens from the command line: ``manage.py token create --email E --organization O``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from devices.models import Organization, Role
from devices.services.people import membership_ensure, organization_create, token_create, user_ensure
from portal.management.base import migrate_if_needed

DAYS_MAX = 36_500


def _days(text: str) -> timedelta:
    """A lifetime; argparse turns the error into a sentence."""
    number = int(text)
    if not 1 <= number <= DAYS_MAX:
        raise ValueError(text)
    return timedelta(days=number)


class Command(BaseCommand):
    """API tokens from the command line: ``manage.py token create --email E --organization O``."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """The one action there is so far."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a token; person and organization too if need be")
        create.add_argument("--email", required=True)
        create.add_argument("--organization", required=True)
        create.add_argument("--role", choices=Role.values, default=Role.OWNER)
        create.add_argument("--name", default="command line")
        create.add_argument("--days", type=_days, help="lifetime; without it the token lives until revoked")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create."""
        migrate_if_needed()
        lifetime = options["days"]
        try:
            with transaction.atomic():
                user = user_ensure(options["email"])
                organization = Organization.objects.filter(name=options["organization"]).first()
                if organization is None:
                    organization = organization_create(options["organization"], user)
                membership_ensure(organization, user, options["role"])
                _token, text = token_create(user, organization, options["name"], lifetime)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(text)
