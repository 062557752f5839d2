"""Dates of rows: when a row was written, from a date among its other columns (meta)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# What help desks, labelling tools and databases call it; a change counts more than the beginning.
USUAL = ("updated_at", "modified_at", "created_at", "timestamp", "datetime", "date", "created", "time")
YEAR_2100 = 4_102_444_800  # in seconds; a larger number is of milliseconds


def written_at(meta: str, names: Sequence[str]) -> float | None:
    """Seconds since 1970 of the first of `names` that `meta` (JSON) holds with a date; None if there is none.

    A date is ISO 8601, RFC 2822 (mail), or seconds or milliseconds since 1970; without a zone it is UTC. 03/04/2026 is
    none: it is March in one country and April in another.
    """
    values = json.loads(meta or "{}")
    known = {str(name).lower(): value for name, value in values.items()} if isinstance(values, dict) else {}
    dates = (_seconds(known.get(name.lower())) for name in names)
    return next((date for date in dates if date is not None), None)


def readings(values: Sequence[object]) -> list[list[float]]:
    """Every way to read all of these as times, in seconds since 1970; none where one of them is no time.

    03/04/2026 is read both ways, as far as all of `values` allow; with dots the day comes first, as in Germany.
    """
    if None not in (plain := [_seconds(value) for value in values]):
        return [[time for time in plain if time is not None]]
    found = [[_by(value, order) for value in values] for order in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y")]
    return [[time for time in times if time is not None] for times in found if None not in times]


def _by(value: object, day: str) -> float | None:
    for clock in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"):
        try:
            return _zoned(datetime.strptime(str(value).strip().replace(", ", " "), day + clock))
        except ValueError:
            continue
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    for read in (_number, _iso, _mail):
        try:
            return read(text)
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None


def _number(text: str) -> float:
    number = float(text)
    if not 86_400 * 3650 < abs(number) < YEAR_2100 * 1000:  # since 1980: a bare year or 20261124 is none of these
        raise ValueError(text)
    return number if number < YEAR_2100 else number / 1000


def _iso(text: str) -> float:
    return _zoned(datetime.fromisoformat(text))


def _mail(text: str) -> float:
    return _zoned(parsedate_to_datetime(text))


def _zoned(date: datetime) -> float:
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
