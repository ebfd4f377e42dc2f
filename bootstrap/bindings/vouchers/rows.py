"""Many rows of one table in one statement, without making an object for each: half the time of an import is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.utils import timezone

from devices.services.progress import database_time

Convert = Callable[[Any], Any]


def rows_insert(
    model: type[models.Model],
    rows: Iterable[Mapping[str, Any]],
    *,
    unique: tuple[str, ...] = (),
    update: tuple[str, ...] = (),
) -> None:
    """Insert rows given by column; what a row leaves out has the model's default. With ``unique`` a row that is
    there already stays as it is, or takes the columns in ``update``."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = [(field.attname, _default(field), _converter(field)) for field in fields]
    values = [[convert(row.get(name, default)) for name, default, convert in columns] for row in rows]
    if not values:
        return
    names = ", ".join(name for name, _default, _convert in columns)
    marks = ", ".join(["%s"] * len(columns))
    sql = f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({marks})"  # noqa: S608 (own names only)
    if unique:
        sets = ", ".join(f"{name} = excluded.{name}" for name in update)
        sql += f" ON CONFLICT ({', '.join(unique)}) DO " + (f"UPDATE SET {sets}" if sets else "NOTHING")
    with connection.cursor() as cursor:
        cursor.executemany(sql, values)


def _default(field: Any) -> Any:
    if getattr(field, "auto_now_add", False):
        return timezone.now()
    return field.get_default()


def _converter(field: Any) -> Convert:
    if isinstance(field, models.JSONField):
        return json.dumps
    if isinstance(field, models.DateTimeField):
        return _moments()
    return _same


def _moments() -> Convert:
    """Most rows of a batch have the same time."""
    known: dict[datetime, Any] = {}

    def convert(moment: datetime | None) -> Any:
        if moment is None:
            return None
        if moment not in known:
            known[moment] = database_time(moment)
        return known[moment]

    return convert


def _same(value: Any) -> Any:
    return value
