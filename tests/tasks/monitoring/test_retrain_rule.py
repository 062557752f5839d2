"""The rule of watch: what starts a run, what holds it, and what a setting of 0 takes out."""

from __future__ import annotations

import pytest

from tasks.facts.watched import CompareFacts, Comparison, RescoreFacts, Share
from tasks.monitoring.retrain_rule import WatchSettings, decide_retrain

WORDS = Comparison(what="words", snapshot="", new="", told="words are used otherwise", found=True)
DRIFT = CompareFacts(rows=9, comparisons=[WORDS])
BROKEN = CompareFacts(rows=9, comparisons=[], broken="prompt_chars: 3 of 9 new rows")
NOW = Share(value=0.4, low=0.35, high=0.45, n=200)
BELOW = RescoreFacts(metric="intent", now=NOW, registered=None, limit=0.8, below=True, told="intent 40 %")


@pytest.mark.parametrize(("more", "starts"), [(9, False), (10, True), (0, False)])
def test_a_tenth_more_rows_starts_a_run(more: int, starts: bool) -> None:
    assert decide_retrain(WatchSettings(), 100, more, None, None).start is starts


def test_a_rule_of_nought_is_out() -> None:
    assert not decide_retrain(WatchSettings(grown_by=0), 100, 1000, None, None).start


def test_every_reason_that_holds_is_told() -> None:
    decision = decide_retrain(WatchSettings(), 100, 50, DRIFT, BELOW)
    assert list(decision.reasons) == ["more rows", "words", "accuracy"]


def test_a_broken_contract_holds_a_run_that_other_rules_ask_for() -> None:
    decision = decide_retrain(WatchSettings(), 100, 50, BROKEN.model_copy(update={"comparisons": [WORDS]}), None)
    assert not decision.start
    assert decision.held == BROKEN.broken


def test_a_broken_contract_starts_a_run_where_the_recipe_says_so() -> None:
    decision = decide_retrain(WatchSettings(broken_contract="start"), 100, 0, BROKEN, None)
    assert decision.reasons == {"contract": BROKEN.broken}


def test_where_the_rows_learnt_from_are_not_known_their_growth_is_no_reason() -> None:
    assert not decide_retrain(WatchSettings(), 0, 50, None, None).start
