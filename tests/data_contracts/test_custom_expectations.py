"""Our own expectations, run by Great Expectations: each at its bound and one row beyond it, with the failing rows
named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_contracts.contract import read_contract
from data_contracts.expectations import validate
from tasks.core.errors import RecipeError


def told(place: Path, facts: dict[str, list[Any]], *lines: str) -> list[dict[str, Any]]:
    (place / "mine.yaml").write_text("expectations:\n" + "".join(f"  - {line}\n" for line in lines))
    rows = len(next(iter(facts.values())))
    frame = pl.DataFrame({"row_id": [f"r{n}" for n in range(rows)], **facts}, strict=False)
    results: list[dict[str, Any]] = validate(read_contract("mine.yaml", place), frame)["results"]
    return results


def named(result: dict[str, Any]) -> list[str]:
    return [hit["row_id"] for hit in result["result"]["partial_unexpected_index_list"]]


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("expect_duplicate_rate_to_be_at_most", "prompt_twin"),
        ("expect_conflict_rate_to_be_at_most", "conflicts_with"),
        ("expect_leakage_rate_to_be_at_most", "leaked_from"),
        ("expect_personal_data_rate_to_be_at_most", "personal_data"),
    ],
)
def test_a_rate_holds_at_its_bound_and_breaks_one_row_beyond_it(tmp_path: Path, name: str, fact: str) -> None:
    values = [None] * 7 + ["email"] * 3  # 0.3 is not exact in binary: 1 - 0.7 is above it
    holds, breaks = told(tmp_path, {fact: values}, f"{name}: {{max_rate: 0.3}}", f"{name}: {{max_rate: 0.29}}")
    assert (holds["success"], breaks["success"]) == (True, False)
    assert named(breaks) == ["r7", "r8", "r9"]
    assert breaks["result"]["unexpected_count"] == 3
    assert breaks["result"]["element_count"] == 10


@pytest.mark.parametrize("fact", [[None] * 4, ["r9"] * 4])
def test_a_fact_that_no_row_has_or_every_row_has_is_counted_all_the_same(
    tmp_path: Path, fact: list[str | None]
) -> None:
    rules = [f"expect_leakage_rate_to_be_at_most: {{max_rate: {rate}}}" for rate in (0, 0.5)]
    none, half = told(tmp_path, {"leaked_from": fact}, *rules)
    assert none["success"] is half["success"] is (fact[0] is None)
    assert none["result"]["unexpected_count"] == (0 if fact[0] is None else 4)


def test_duplicates_are_of_the_text_that_the_contract_names(tmp_path: Path) -> None:
    facts = {"prompt_twin": ["r1", None], "answer_twin": [None, None], "pair_twin": [None, None]}
    lines = [f"expect_duplicate_rate_to_be_at_most: {{max_rate: 0{of}}}" for of in ("", ", of: answer", ", of: pair")]
    assert [r["success"] for r in told(tmp_path, facts, *lines)] == [False, True, True]


def test_tokens_beyond_the_budget_are_told_with_their_number(tmp_path: Path) -> None:
    within, beyond = told(
        tmp_path,
        {"tokens": [10, 513, 512]},
        "expect_tokens_to_be_within_budget: {max_tokens: 512, max_rate: 0.34}",
        "expect_tokens_to_be_within_budget: {max_tokens: 512}",
    )
    assert (within["success"], beyond["success"]) == (True, False)
    assert beyond["result"]["partial_unexpected_index_list"] == [{"row_id": "r1", "tokens": 513}]


def test_only_the_kinds_of_personal_data_that_are_named_count(tmp_path: Path) -> None:
    rule = "expect_personal_data_rate_to_be_at_most: {max_rate: 0, kinds: [%s]}"
    facts = {"personal_data": [None, "email, phone", "card"]}
    phone, iban, both = told(tmp_path, facts, rule % "phone", rule % "iban", rule % "card, email")
    assert [named(phone), iban["success"], named(both)] == [["r1"], True, ["r1", "r2"]]


def test_the_form_of_answers_is_that_of_the_schema_or_of_json(tmp_path: Path) -> None:
    facts = {"answer_problem": [None, "not one JSON object", None, None], "answer_is_json": [True, False, True, False]}
    schema, json, strict = told(
        tmp_path,
        facts,
        "expect_valid_format_rate_to_be_at_least: {min_rate: 0.75}",
        "expect_valid_format_rate_to_be_at_least: {min_rate: 0.75, form: json}",
        "expect_valid_format_rate_to_be_at_least: {min_rate: 1}",
    )
    assert [schema["success"], json["success"], strict["success"]] == [True, False, False]
    assert (named(json), named(strict)) == (["r1", "r3"], ["r1"])


def test_a_rate_can_be_asked_of_some_rows_only(tmp_path: Path) -> None:
    rule = (
        "expect_conflict_rate_to_be_at_most: {max_rate: 0.5, row_condition: 'source==\"b\"', condition_parser: pandas}"
    )
    (result,) = told(tmp_path, {"conflicts_with": ["r1", None, "r3", "r2"], "source": ["a", "a", "b", "b"]}, rule)
    assert (result["success"], result["result"]["element_count"], named(result)) == (False, 2, ["r2", "r3"])


@pytest.mark.parametrize(
    ("line", "got", "allowed"),
    [
        ("expect_duplicate_rate_to_be_at_most: {max_rate: 0, of: promt}", "'promt'", "prompt"),
        ("expect_duplicate_rate_to_be_at_most: {max_rate: 2}", "2", "maximum 1"),
        ("expect_duplicate_rate_to_be_at_most: {max_rate: few}", "'few'", "number"),
        ("expect_duplicate_rate_to_be_at_most: {}", "'max_rate' is missing", "max_rate"),
        ("expect_personal_data_rate_to_be_at_most: {max_rate: 0, kinds: [emial]}", "'emial'", "email"),
        ("expect_tokens_to_be_within_budget: {max_tokens: 0}", "0", "minimum 1"),
        ("expect_leakage_rate_to_be_at_most: {max_rate: 0, column: label}", "'column'", "max_rate"),
    ],
)
def test_a_slip_in_ours_is_told_before_any_row_is_read(tmp_path: Path, line: str, got: str, allowed: str) -> None:
    with pytest.raises(RecipeError) as caught:
        told(tmp_path, {"label": ["a"]}, line)
    assert got in caught.value.what
    assert allowed in caught.value.allowed
    assert "mine.yaml, expectation 1" in caught.value.where
