"""Plans: method-neutral content in unchangeable versions."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from devices.models import Organization, Plan, PlanVersion, User
from devices.services.audit import audit_write
from devices.services.revision import revision_bump

ITEMS_MAX = 100
TEXT_MAX_LENGTH = 4096
FILE_MAX_LENGTH = 512 * 1024
PLAN_MAX_LENGTH = 768 * 1024
"""Octets, so that the whole plan fits one sealed reply in any script."""
ID_MAX_LENGTH = 64

FIELDS: dict[str, dict[str, bool]] = {
    "network": {"ssid": True, "security": True, "passphrase": False},
    "server": {"name": True, "url": True},
    "config": {"key": True, "value": True},
    "file": {"path": True, "content": True, "mode": False},
    "certificate": {"profile": False},
    "command": {"command": True, "args": False, "output": False, "may_fail": False},
    "collect": {"name": True, "may_fail": False},
    "fetch": {"name": True, "url": True, "sha384": False, "may_fail": False},
}
"""Kind of item to its fields, True where the field must be there. ``content`` of a file is base64 text; ``args`` of
a command are words as in a shell; ``output`` and ``may_fail`` are "yes" or nothing."""
FDO_KINDS = ("command", "collect", "fetch")
"""What only FDO's service info carries: a program to run, a file to send us, a file to get from somewhere."""
FLAGS = ("output", "may_fail")

_MODE = re.compile(r"0?[0-7]{3}", re.ASCII)
_SHA384 = re.compile(r"[0-9a-fA-F]{96}")
SECURITIES = ("open", "wpa2-psk", "wpa3-sae", "wpa-enterprise")


def items_clean(items: Any) -> list[dict[str, Any]]:
    """Checked items with ids; raises ValidationError that names the item and the field."""
    if not isinstance(items, list) or len(items) > ITEMS_MAX:
        raise ValidationError({"items": _("A plan is a list of at most %d items.") % ITEMS_MAX})
    cleaned = [_item_clean(position, item) for position, item in enumerate(items, 1)]
    ids = [item["id"] for item in cleaned]
    if len(set(ids)) != len(ids):
        raise ValidationError({"items": _("Two items have the same id.")})
    if len(json.dumps(cleaned, ensure_ascii=False).encode()) > PLAN_MAX_LENGTH:
        raise ValidationError({"items": _("The plan is larger than 768 kB.")})
    return cleaned


def _item_clean(position: int, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str) or item["kind"] not in FIELDS:
        raise ValidationError({"items": _("Item %d: unknown kind.") % position})
    kind, value = item["kind"], item.get("value")
    if not isinstance(value, dict) or set(value) - set(FIELDS[kind]):
        raise ValidationError({"items": _("Item %d: unknown field.") % position})
    for field, needed in FIELDS[kind].items():
        _field_clean(position, kind, field, value.get(field, ""), needed)
    name = item.get("id") or f"{kind}-{position}"
    if not _is_text(name, ID_MAX_LENGTH):
        raise ValidationError({"items": _("Item %d: %s is not a short text.") % (position, "id")})
    return {
        "id": name,
        "kind": kind,
        "value": {field: text for field, text in value.items() if text != ""},
    }


def _field_clean(position: int, kind: str, field: str, text: Any, needed: bool) -> None:
    limit = FILE_MAX_LENGTH * 4 // 3 + 4 if field == "content" else TEXT_MAX_LENGTH
    if not _is_text(text, limit):
        raise ValidationError({"items": _("Item %d: %s is not a short text.") % (position, field)})
    if needed and not text:
        raise ValidationError({"items": _("Item %d: %s is missing.") % (position, field)})
    if field == "content":
        _content_clean(position, text)
    if field == "path" and (not text.startswith("/") or ".." in text.split("/") or "\0" in text):
        raise ValidationError({"items": _("Item %d: a path starts with / and has no ..") % position})
    _url_clean(position, kind, text) if field == "url" else _format_clean(position, field, text)


def _format_clean(position: int, field: str, text: str) -> None:
    if field == "mode" and text and not _MODE.fullmatch(text):
        raise ValidationError({"items": _("Item %d: a mode is octal, like 0644.") % position})
    if field in FLAGS and text not in ("", "yes"):
        raise ValidationError({"items": _('Item %d: %s is "yes" or empty.') % (position, field)})
    if field == "args" and not _is_shell(text):
        raise ValidationError({"items": _("Item %d: a quote in args is not closed.") % position})
    if field == "sha384" and text and not _SHA384.fullmatch(text):
        raise ValidationError({"items": _("Item %d: sha384 is 96 hexadecimal digits.") % position})
    if field == "security" and text not in SECURITIES:
        raise ValidationError(
            {"items": _("Item %d: security is one of %s.") % (position, ", ".join(SECURITIES))}
        )


def _is_shell(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def _url_clean(position: int, kind: str, text: str) -> None:
    if kind == "fetch" and not text.startswith(("http://", "https://", "${")):
        raise ValidationError({"items": _("Item %d: fetch needs an http or https address.") % position})
    if kind == "server" and "://" not in text:
        raise ValidationError(
            {"items": _("Item %d: a server's url needs a scheme, like mqtts://.") % position}
        )


def _is_text(text: Any, limit: int) -> bool:
    """A string of so many characters that can be sent: half a surrogate pair, which JSON can spell, cannot."""
    if not isinstance(text, str) or len(text) > limit:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _content_clean(position: int, text: str) -> None:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValidationError({"items": _("Item %d: content is not base64.") % position}) from error
    if len(content) > FILE_MAX_LENGTH:
        raise ValidationError({"items": _("Item %d: a file has at most 512 kB.") % position})


def file_digest(content: str) -> str:
    """SHA-256, hexadecimal, of a file item's base64 content."""
    return hashlib.sha256(base64.b64decode(content)).hexdigest()


@transaction.atomic
def plan_save(
    organization: Organization,
    actor: User | None,
    *,
    name: str,
    items: Any,
    plan: Plan | None = None,
    is_default: bool | None = None,
) -> Plan:
    """Create a plan, or give it a new version; the first plan becomes the default one."""
    cleaned = items_clean(items)
    if plan is None:
        first = not Plan.objects.filter(organization=organization).exists()
        plan = Plan(organization=organization, is_default=False)
        is_default = first if is_default is None else is_default
    plan.name = name.strip()
    plan.full_clean(exclude=["current"])
    plan.save()
    if is_default is not None and is_default != plan.is_default:
        Plan.objects.filter(organization=organization, is_default=True).update(is_default=False)
        plan.is_default = is_default
    if plan.current is None or plan.current.items != cleaned:
        number = (plan.current.number if plan.current else 0) + 1
        plan.current = PlanVersion(plan=plan, number=number, author=actor)
        plan.current.items = cleaned
        plan.current.save()
    plan.save()
    audit_write(organization, actor, "plan.saved", plan, version=plan.current.number)
    revision_bump()
    return plan


@transaction.atomic
def plan_delete(plan: Plan, actor: User | None) -> None:
    """Delete a plan; its devices fall back to the default one."""
    audit_write(plan.organization, actor, "plan.deleted", plan)
    plan.delete()
    revision_bump()
