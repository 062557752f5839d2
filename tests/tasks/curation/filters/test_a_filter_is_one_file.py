"""A filter rule is one file and one line in the list: the step, its settings and the ledger take it by the list alone."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import RecipeError
from tasks.core.ledger import check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.core.text.strict_yaml import read_yaml
from tasks.curation.filter import FilterSettings, filter_rows
from tasks.curation.filters.base import Filter
from tasks.curation.filters.catalog import FILTERS

SHOUTING = '''
"""Answers in capitals only."""

import polars as pl

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers


def may_shout(context: FilterContext) -> pl.Series:
    return context.taught_answers.filter(~pl.col("text").str.contains("[a-z]"))["row"]


def shouts(row: Row, _: FilterContext) -> ReasonAndEvidence | None:
    loud = [number for number, text, _asked in taught_answers(row) if text.isupper()]
    return ("answer in capitals", {"message": loud[0]}) if loud else None


RULE = Filter("shouting", may_shout, shouts, "quarantine", of_answers=True)
'''


@pytest.fixture
def shouting(tmp_path: Path) -> Iterator[Filter]:
    """The rule of a file written just now, listed last."""
    file = (tmp_path / "shouting").with_suffix(".py")
    file.write_text(SHOUTING)
    rule = runpy.run_path(str(file))["RULE"]
    FILTERS.append(rule)
    yield rule
    FILTERS.remove(rule)


def rows(*answers: str) -> pl.DataFrame:
    said = [
        {
            "row_id": f"{number:04}",
            "source": "rows.jsonl",
            "line": number,
            "messages": [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": answer}],
            "meta": "{}",
        }
        for number, answer in enumerate(answers, 1)
    ]
    return pl.DataFrame(said, schema=ROW_SCHEMA)


def decided(frame: pl.DataFrame, kind: str = "sft", **chosen: Any) -> list[tuple[str, str, str]]:
    outcome = filter_rows(frame, FilterSettings.model_validate(chosen), KINDS[kind])
    check_balance("filter", frame, outcome)
    return outcome.ledger.select("row_id", "action", "reason").rows()


def test_a_new_rule_decides_rows_and_its_reason_stands_in_the_ledger(shouting: Filter) -> None:
    loud = rows("It is on its way.", "ON THE TABLE!")
    assert decided(loud) == [("0002", "quarantined", "answer in capitals")]
    assert decided(loud, "classification") == []  # of_answers: a label in capitals is a label


def test_the_recipe_chooses_what_becomes_of_a_new_rules_rows(shouting: Filter) -> None:
    loud = rows("It is on its way.", "ON THE TABLE!")
    assert decided(loud, actions={"shouting": "drop"}) == [("0002", "dropped", "answer in capitals")]
    assert decided(loud, actions={"shouting": "off"}) == []


def test_of_several_rules_that_a_row_breaks_the_first_in_the_list_is_told(shouting: Filter) -> None:
    both = rows("WHERE IS IT " * 20)
    assert decided(both) == [("0001", "quarantined", "answer repeats itself")]
    FILTERS.insert(0, FILTERS.pop())
    assert decided(both) == [("0001", "quarantined", "answer in capitals")]


def test_a_misspelt_rule_is_answered_with_the_names_of_all_the_new_one_among_them(
    tmp_path: Path, shouting: Filter
) -> None:
    (tmp_path / "filter.yaml").write_text("actions: {shoutin: drop}\n")
    with pytest.raises(RecipeError) as error:
        read_yaml(tmp_path / "filter.yaml", FilterSettings)
    assert error.value.allowed.split(", ")[-2:] == ["too_long", "shouting"]
    assert error.value.todo == "did you mean 'shouting'?"


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in FILTERS}) == len(FILTERS)
