"""Invariant 1: a step that loses, invents or doubles a row, or lets one go without a reason, is caught."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.ledger import LedgerError, Outcome, check_balance, count_reasons, entries, entry, quarantine
from tasks.core.row import ROW_SCHEMA


def rows(*row_ids: str) -> pl.DataFrame:
    messages = [{"role": "user", "content": "Grüße"}, {"role": "assistant", "content": "Hi"}]
    told = [{"row_id": r, "source": "a.jsonl", "line": 1, "messages": messages, "meta": "{}"} for r in row_ids]
    return pl.DataFrame(told, schema=ROW_SCHEMA)


def outcome(kept: str, gone: str = "", *, reason: str = "too short", action: str = "dropped") -> Outcome:
    told: list[dict[str, Any]] = [entry({"row_id": r, "source": "a", "line": 1}, action, reason) for r in gone]
    return Outcome(rows(*kept), entries("step", told))


def test_a_step_that_accounts_for_every_row_passes() -> None:
    check_balance("step", rows(*"abc"), outcome("ab", "c"))
    check_balance("ingest", None, outcome("ab", "c"))


@pytest.mark.parametrize(
    ("given_rows", "kept", "gone", "told"),
    [
        ("abc", "ab", "", "1 rows lost"),
        ("ab", "abc", "", "1 rows invented"),
        ("ab", "a", "bc", "1 rows invented"),
        ("ab", "ab", "b", "1 rows counted twice"),
        ("ab", "aab", "", "1 rows counted twice"),
        ("ab", "a", "bb", "1 rows counted twice"),
        ("abc", "", "", "3 rows lost"),
        ("abc", "abx", "", "1 rows lost, 1 rows invented"),
    ],
)
def test_a_row_lost_invented_or_doubled_is_caught(given_rows: str, kept: str, gone: str, told: str) -> None:
    with pytest.raises(LedgerError, match=told):
        check_balance("step", rows(*given_rows), outcome(kept, gone))


def test_a_row_that_goes_without_a_reason_is_caught() -> None:
    with pytest.raises(LedgerError, match="1 entries without a reason"):
        check_balance("step", rows(*"ab"), outcome("a", "b", reason=""))


def test_a_changed_row_is_still_there() -> None:
    check_balance("step", rows(*"ab"), outcome("ab", "b", action="changed"))
    with pytest.raises(LedgerError, match="1 rows lost"):
        check_balance("step", rows(*"ab"), outcome("a", "b", action="changed"))


def test_ingest_may_not_count_a_row_twice() -> None:
    with pytest.raises(LedgerError, match="1 rows counted twice"):
        check_balance("ingest", None, outcome("ab", "b"))


@given(st.permutations("abcdef"))
def test_entries_are_in_one_order_whatever_order_they_came_in(order: list[str]) -> None:
    told = [entry({"row_id": r, "source": "a", "line": 1}, "dropped", "why", n=1) for r in order]
    assert entries("step", told)["row_id"].to_list() == list("abcdef")


def test_reasons_are_counted_by_row_most_first() -> None:
    row = {"source": "a", "line": 1}
    told = [entry({**row, "row_id": r}, "dropped", reason) for r, reason in ("ax", "bx", "cy")]
    told += [entry({**row, "row_id": "d"}, "changed", "z", rule=rule) for rule in "12"]
    counted = count_reasons(entries("step", told))
    assert counted == {"dropped": {"x": 2, "y": 1}, "changed": {"z": 1}}
    assert list(counted["dropped"]) == ["x", "y"]


def test_quarantine_holds_the_text_a_person_needs_and_nothing_that_was_dropped() -> None:
    acts = {"a": "quarantined", "b": "dropped"}
    told = [entry({"row_id": r, "source": "a", "line": 1}, action, "why") for r, action in acts.items()]
    held = quarantine(rows(*"abc"), Outcome(rows("c"), entries("step", told)))
    assert held.columns == ["row_id", "source", "line", "step", "reason", "text"]
    assert held["row_id"].to_list() == ["a"]
    assert json.loads(held["text"][0])[0]["content"] == "Grüße"
