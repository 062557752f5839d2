"""Who would become champion is held against who is: shown, refused or asked for where it is worse or unknown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasks.core.errors import PromotionError
from tasks.facts.scores import ComparedChampion, Difference, Measured, Scores
from tasks.metrics.intervals import paired_difference, rate
from tasks.registry.promotion_ledger import Ledger
from tasks.release.comparison import Comparison, compare
from tasks.release.promote import BY_GATE, Candidate, WaitingError, check_comparison

WHERE: dict[str, Any] = {"slice": "holdout", "metric": "intent"}


def share(variant: str, right: int) -> Measured:
    got = rate(right, 120, 0.95)
    return Measured(variant=variant, right=right, value=got.value, low=got.low, high=got.high, n=120, **WHERE)


def scores(wins: int, losses: int, version: int = 1, unasked: str = "") -> Scores:
    got = paired_difference(wins, losses, 120, 0.95)
    gain: dict[str, Any] = {"difference": got.value, "low": got.low, "high": got.high, "n": 120}
    asked = not unasked
    return Scores(
        variants=["champion", "tuned"],
        best_baseline="",
        headline="intent",
        confidence=0.95,
        metrics=[share("tuned", 99 + wins), *([share("champion", 99 + losses)] if asked else [])],
        differences=[Difference(baseline="champion", wins=wins, losses=losses, **gain, **WHERE)] if asked else [],
        champion=ComparedChampion(name="shop", version=version, unasked=unasked),
    )


WORSE, BETTER, EQUAL = scores(3, 16), scores(16, 3), scores(4, 5)


def candidate() -> Candidate:
    return Candidate(SimpleNamespace(name="shop", version="2"), Ledger(model="shop"))


def checked(comparison: Comparison, approval: str, reason: str = "") -> None:
    check_comparison(candidate(), comparison, approval, reason)


def test_it_is_told_on_the_same_rows_with_what_only_one_of_them_has_right() -> None:
    told = compare(1, WORSE)
    assert told.text.startswith("On 120 holdout rows its intent is 85.0 % [")
    assert "that of version 1, the champion, 95.8 % [" in told.text
    assert told.text.endswith("3 rows are right only with it, 16 only with the champion.")
    assert (told.is_worse, told.is_unknown) == (True, False)
    assert not compare(1, BETTER).is_worse
    assert not compare(1, EQUAL).is_worse


def test_the_first_champion_is_compared_with_nothing_and_no_word_is_lost() -> None:
    assert compare(0, BETTER) == Comparison()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (scores(3, 3, version=7), "It was compared with version 7, and never with version 1, the champion."),
        (scores(3, 3).model_copy(update={"champion": None}), "It was compared never with version 1, the champion."),
        (scores(0, 0, unasked="its files are gone"), "could not be asked: its files are gone."),
    ],
)
def test_one_that_was_never_compared_with_todays_champion_is_unknown(given: Scores, told: str) -> None:
    found = compare(1, given)
    assert found.is_unknown
    assert told in found.text


def test_a_gate_alone_puts_nothing_worse_or_unknown_in_the_place_of_a_champion() -> None:
    for comparison in (compare(1, WORSE), compare(1, scores(3, 3, version=7))):
        with pytest.raises(WaitingError, match="a person must approve it") as caught:
            checked(comparison, BY_GATE, "follows the gate")
        assert "assay promote shop --version 2 --approve --reason WHY" in caught.value.todo
    checked(compare(1, EQUAL), BY_GATE)
    checked(compare(1, BETTER), BY_GATE)


def test_a_person_who_replaces_a_better_champion_must_say_why() -> None:
    with pytest.raises(PromotionError, match=r"worse than the champion\. On 120 holdout rows"):
        checked(compare(1, WORSE), "approved by Eve")
    checked(compare(1, WORSE), "approved by Eve", "the old one is rude")
    checked(compare(1, scores(3, 3, version=7)), "approved by Eve")


def test_a_version_of_before_there_were_comparisons_may_follow_its_gate_and_it_is_said() -> None:
    old = Scores(variants=["tuned"], best_baseline="", headline="intent", confidence=0.95, metrics=[], differences=[])
    for given in (old, None):
        found = compare(1, given)
        assert "registered before versions were compared" in found.text
        checked(found, BY_GATE)
