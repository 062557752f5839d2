"""The rule of watch: what starts a run, what holds it, and what a setting of 0 takes out."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.rule import WatchSettings, decide

DRIFT: dict[str, Any] = {"comparisons": [{"what": "words", "told": "words are used otherwise", "found": True}], "broken": ""}
BROKEN = {"broken": "prompt_chars: 3 of 9 new rows"}


@pytest.mark.parametrize(("more", "starts"), [(9, False), (10, True), (0, False)])
def test_a_tenth_more_rows_starts_a_run(more: int, starts: bool) -> None:
    assert decide(WatchSettings(), 100, more, {}, {}).start is starts


def test_a_rule_of_nought_is_out() -> None:
    assert not decide(WatchSettings(grown_by=0), 100, 1000, {}, {}).start


def test_every_reason_that_holds_is_told() -> None:
    decision = decide(WatchSettings(), 100, 50, DRIFT, {"below": True, "told": "intent 40 %"})
    assert list(decision.reasons) == ["more rows", "words", "accuracy"]


def test_a_broken_contract_holds_a_run_that_other_rules_ask_for() -> None:
    decision = decide(WatchSettings(), 100, 50, {**DRIFT, **BROKEN}, {})
    assert not decision.start
    assert decision.held == BROKEN["broken"]


def test_a_broken_contract_starts_a_run_where_the_recipe_says_so() -> None:
    decision = decide(WatchSettings(broken_contract="start"), 100, 0, BROKEN, {})
    assert decision.reasons == {"contract": BROKEN["broken"]}


def test_where_the_rows_learnt_from_are_not_known_their_growth_is_no_reason() -> None:
    assert not decide(WatchSettings(), 0, 50, {}, {}).start
