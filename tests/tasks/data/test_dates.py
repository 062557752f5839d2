"""dates: read as their exports write them, and never guessed."""

from __future__ import annotations

import json

import pytest

from tasks.data.dates import USUAL, written_at

NEW_YEAR = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "2026-01-01 01:00:00+01:00",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        NEW_YEAR,
        "1767225600000",
    ],
)
def test_one_moment_in_every_form(value: object) -> None:
    assert written_at(json.dumps({"Created_At": value}), USUAL) == NEW_YEAR


@pytest.mark.parametrize(
    "value", ["03/04/2026", "yesterday", "", None, True, 2026, 20260101.5, {"year": 2026}, "nan", "1e400"]
)
def test_what_is_no_certain_date_is_none(value: object) -> None:
    assert written_at(json.dumps({"date": value}), USUAL) is None


def test_a_change_counts_more_than_the_beginning_and_a_name_of_ones_own_counts_alone() -> None:
    meta = json.dumps({"created_at": "2025-01-01", "updated_at": "2026-01-01", "closed": "2024-01-01"})
    assert written_at(meta, USUAL) == NEW_YEAR
    assert written_at(meta, ("closed",)) == 1_704_067_200.0
    assert written_at("[]", USUAL) is written_at("", USUAL) is None
