"""A model that is worse than the champion does not pass, whatever else it is better than; one that may be is told so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, digest_path
from tasks.core.process.progress import Progress
from tasks.core.work import StepDirs
from tasks.evaluation.gate import GateSettings, gate
from tasks.facts.scores import ComparedChampion, Difference, Measured, MetricWords, Scores
from tasks.facts.verdict import JudgedRule
from tasks.metrics.intervals import paired_difference, rate

RULES = [{"metric": "intent", "better_than_baseline": True}]
CHAMPION = ComparedChampion(name="shop", version=3)


def difference(baseline: str, wins: int, losses: int, n: int, metric: str = "intent") -> Difference:
    got = paired_difference(wins, losses, n, 0.95)
    about: dict[str, Any] = {"baseline": baseline, "slice": "holdout", "metric": metric, "wins": wins, "losses": losses}
    return Difference(difference=got.value, low=got.low, high=got.high, n=n, **about)


def share(variant: str, right: int, n: int) -> Measured:
    got = rate(right, n, 0.95)
    about: dict[str, Any] = {"variant": variant, "slice": "holdout", "metric": "intent", "right": right, "n": n}
    return Measured(value=got.value, low=got.low, high=got.high, **about)


def scores(wins: int, losses: int, n: int, champion: ComparedChampion | None = CHAMPION) -> Scores:
    """tuned beats the prompted model by far, and has `wins` rows that the champion has not."""
    against = [difference("few_shot", n // 2, 0, n)]
    metrics = [share("few_shot", n // 4, n), share("tuned", n // 4 + n // 2, n)]
    asked = champion is not None and not champion.unasked
    against += [difference("champion", wins, losses, n)] if asked else []
    metrics += [share("champion", n // 2, n)] if asked else []
    return Scores(
        variants=["few_shot", *(["champion"] if asked else []), "tuned"],
        best_baseline="few_shot",
        headline="intent",
        confidence=0.95,
        metrics=metrics,
        differences=against,
        champion=champion,
    )


def judged(home: Path, given: Scores, **settings: Any) -> dict[str, Any]:
    folder = home / "artifacts" / uuid4().hex
    folder.mkdir(parents=True)
    (folder / FACTS).write_text(json.dumps(given.written()))
    (folder / TOLD).write_text("{}")
    handle = Handle.of(folder, step="evaluate", kind="scores", digest=digest_path(folder))
    chosen = GateSettings.model_validate({"rules": RULES, **settings})
    return gate(StepDirs(folder, home, Progress("gate")), settings=chosen, scores=handle).facts


def about_champion(home: Path, given: Scores, **settings: Any) -> JudgedRule:
    (rule,) = (r for r in judged(home, given, **settings)["rules"] if r["baseline"] == "champion")
    return JudgedRule.model_validate(rule)


@pytest.mark.parametrize(
    ("wins", "losses", "n", "verdict"),
    [
        (3, 16, 120, "refused"),
        (16, 3, 120, "passed"),
        (0, 0, 13, "passed"),  # as good on few rows, which is all that they can tell
        (3, 5, 120, "passed"),  # within the two points
        (3, 8, 120, "undecided"),  # four points, which may be chance
        (300, 500, 10_000, "passed"),  # the very margin
        (300, 520, 10_000, "refused"),
        (0, 7, 156, "refused"),
    ],
)
def test_by_default_what_is_measured_may_be_two_points_below_the_champion(
    home: Path, wins: int, losses: int, n: int, verdict: str
) -> None:
    assert about_champion(home, scores(wins, losses, n)).verdict == verdict


def test_it_is_refused_although_it_beats_every_baseline_and_the_rows_are_told(home: Path) -> None:
    facts = judged(home, scores(3, 16, 120))
    assert [rule["verdict"] for rule in facts["rules"]] == ["passed", "refused"]
    assert facts["verdict"] == "refused"
    rule = facts["rules"][1]
    assert rule["rule"] == "intent on holdout: not worse than the champion by more than 2 points"
    assert "of 120 rows, 3 are right only with tuned and 16 only with the champion, -10.8 points" in rule["why"]


def test_a_rule_that_holds_says_where_the_rows_cannot_exclude_a_greater_loss(home: Path) -> None:
    assert "120 rows cannot exclude" in about_champion(home, scores(5, 5, 120)).remark
    assert about_champion(home, scores(40, 0, 120)).remark == ""


def test_what_may_be_chance_is_told_how_many_rows_would_decide(home: Path) -> None:
    assert "more rows like these would decide it against the model" in about_champion(home, scores(3, 8, 120)).why


def test_the_recipe_may_say_otherwise(home: Path) -> None:
    assert len(judged(home, scores(3, 16, 120), not_worse_than_champion=None)["rules"]) == 1
    assert about_champion(home, scores(3, 16, 120), not_worse_than_champion=0.15).verdict == "passed"
    own = [{"metric": "intent", "not_worse_than_champion": 0.15}]
    assert [r["verdict"] for r in judged(home, scores(3, 16, 120), rules=own)["rules"]] == ["passed"]


def test_without_a_champion_there_is_no_word_about_one_unless_the_recipe_asks(home: Path) -> None:
    assert [r["baseline"] for r in judged(home, scores(0, 0, 120, None))["rules"]] == ["few_shot"]
    own = [{"metric": "intent", "not_worse_than_champion": 0.02}]
    (rule,) = judged(home, scores(0, 0, 120, None), rules=own)["rules"]
    assert (rule["verdict"], rule["why"]) == ("passed", "there is no champion yet")


def test_a_champion_that_could_not_be_asked_leaves_the_gate_undecided_in_words(home: Path) -> None:
    gone = CHAMPION.model_copy(update={"unasked": "its files are gone"})
    facts = judged(home, scores(0, 0, 120, gone))
    assert facts["verdict"] == "undecided"
    assert facts["rules"][1]["why"] == (
        "the champion, shop version 3, could not be asked: its files are gone. Mend that, or to go on without it, set "
        "gate.not_worse_than_champion to null in the recipe"
    )


def test_of_a_number_that_is_better_when_lower_more_is_worse(home: Path) -> None:
    where: dict[str, Any] = {"slice": "holdout", "metric": "words", "n": 50}
    numbers = Scores(
        variants=["champion", "tuned"],
        best_baseline="",
        headline="words",
        confidence=0.95,
        metrics=[
            Measured(variant=v, value=x, low=x - 1, high=x + 1, **where) for v, x in (("champion", 10), ("tuned", 14))
        ],
        differences=[Difference(baseline="champion", difference=4.0, low=3.0, high=5.0, **where)],
        words={"words": MetricWords(title="words", is_number=True, lower_is_better=True)},
        champion=CHAMPION,
    )
    own = [{"metric": "words", "at_least": 1.0}]
    rule = about_champion(home, numbers, rules=own)
    assert rule.verdict == "refused"
    assert rule.rule == "words on holdout: not worse than the champion by more than 0.2"  # two of a hundred of ten
    fewer = numbers.differences[0].model_copy(update={"difference": -4.0, "low": -5.0, "high": -3.0})
    assert about_champion(home, numbers.model_copy(update={"differences": [fewer]}), rules=own).verdict == "passed"


@pytest.mark.parametrize("margin", [-0.1, 1, "much"])
def test_a_margin_that_is_none_is_refused(margin: Any) -> None:
    with pytest.raises(ValidationError, match="not_worse_than_champion"):
        GateSettings.model_validate({"rules": RULES, "not_worse_than_champion": margin})
