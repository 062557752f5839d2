"""Check gate: before anything is trained, that a model could pass: one that is right wherever it can be.

Two gates keep out every model, and cost hours before they say so: a floor that the holdout is too small to prove, and
exact match on prose, which nobody writes twice in the same words. What can be reached is judged with care, since a gate
that is refused here is tried by nobody: prose is a long answer in words, most of which the question does not hold (a
correction or a quotation can be right to the letter), and like which no training row answers (a template can be
learnt).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from tasks.core.errors import RecipeError
from tasks.core.handle import CURATED, Handle
from tasks.core.variants import TUNED
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation.evaluate import EvaluateSettings, metric_rows
from tasks.evaluation.gate import GateSettings, Rule
from tasks.facts.scores import Difference, Measured, Scores
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.catalog import metrics_of
from tasks.metrics.intervals import paired_difference, rate
from tasks.metrics.reference import Reference

BASELINE = "zero_shot"  # the one that is always there
PROSE_WORDS = 12  # of an answer: few that are shorter have no second wording
LETTERS = 0.8  # share of its words that are of letters, and punctuation at their ends: else it is code, or figures
COPIED = 0.5  # share of its words that the question has: else it is written, not copied
ALIKE = 0.5  # Jaccard of its words with a training answer's: then it may be a template
COMPARED = 2_000  # training answers that it is compared with, a fair draw
MOST_ROWS = 100_000  # looked for when it is said how many would do


def check_gate(
    place: StepDirs,
    *,
    settings: GateSettings,
    answer: AnswerSettings,
    evaluation: EvaluateSettings,
    dataset: Handle,
    holdout: Handle,
    edge_cases: Handle | None = None,
) -> StepResult:
    """Raises RecipeError for the first rule that no model could pass on these rows."""
    frames = {"holdout": holdout.frame(), **({"edge_cases": edge_cases.frame()} if edge_cases else {})}
    known = _answers(dataset.frame(CURATED))
    reached = {
        (name, metric.name): [metric.name != "exact" or not is_unseen_prose(one, asked, known) for one, asked in rows]
        for name, metric, rows in metric_rows(frames, answer)
        if not metric.is_number
    }
    for i, rule in enumerate(settings.rules):
        if found := reached.get((rule.slice, rule.metric)):
            _check(i, rule, sum(found), len(found), answer, evaluation.confidence)
    return StepResult("checked", f"{len(settings.rules)} rules could be passed", {})


def _check(i: int, rule: Rule, right: int, n: int, answer: AnswerSettings, confidence: float) -> None:
    """right: the rows that a model could have right."""
    if _passes(rule, right, n, answer, confidence):
        return
    prose = n - right
    if _passes(rule, n, n, answer, confidence):
        raise RecipeError(
            f"No model can pass a gate rule: {rule.metric} asks for the same letters, and of {n:,} expected answers on "
            f"{rule.slice} {prose:,} are prose that a right answer may put in other words.",
            where=f"recipe: gate.rules.{i}",
            allowed="a metric that a right answer meets whatever its words",
            todo="grade fields of the answer (answer.graded) and let the rule name one, or take the rule out",
        )
    needed = next((rows for rows in _sizes(n) if _passes(rule, rows, rows, answer, confidence)), None)
    raise RecipeError(
        f"No model can pass a gate rule: were all {n:,} rows of {rule.slice} right, its interval would still not reach "
        f"what is asked.",
        where=f"recipe: gate.rules.{i}",
        allowed=f"{needed:,} rows or more" if needed else "a lower floor",
        todo=f"add rows to {rule.slice}, or lower what the rule asks",
    )


def _sizes(n: int) -> Iterator[int]:
    """Larger numbers of rows, each by a twentieth."""
    while n < MOST_ROWS:
        n += max(1, n // 20)
        yield n


def _passes(rule: Rule, right: int, n: int, answer: AnswerSettings, confidence: float) -> bool:
    """Whether the rule would hold of a model that has `right` of `n` rows right and a baseline that has none."""
    where: dict[str, Any] = {"slice": rule.slice, "metric": rule.metric}
    share, gain = asdict(rate(right, n, confidence)), asdict(paired_difference(right, 0, n, confidence))
    tuned = Measured(variant=TUNED, right=right, **where, **share)
    beaten = Difference(baseline=BASELINE, wins=right, losses=0, difference=gain.pop("value"), **where, **gain)
    best = Scores(
        variants=[BASELINE, TUNED],
        best_baseline=BASELINE,
        headline=rule.metric,
        confidence=confidence,
        metrics=[tuned],
        differences=[beaten],
        words={metric.name: metric.words for metric in metrics_of(answer)},
    )
    return rule.judge(best).verdict == "passed"


def _answers(rows: pl.DataFrame) -> list[frozenset[str]]:
    """The words of training answers."""
    train = rows.filter(pl.col("split") == "train").sort("row_id").head(COMPARED)
    answers = (messages[-1]["content"] or "" for messages in train["messages"].to_list() if messages)
    return [frozenset(text.lower().split()) for text in answers]


def is_unseen_prose(reference: Reference, asked: str, known: list[frozenset[str]]) -> bool:
    """Whether what a row asks for is prose that a right answer may put in other words."""
    if reference.answer is None or reference.answer.calls is not None:
        return False
    texts = list(_texts(reference.json)) or [reference.answer.text]
    return any(_is_prose(text.lower().split(), set(asked.lower().split()), known) for text in texts)


def _is_prose(words: list[str], asked: set[str], known: list[frozenset[str]]) -> bool:
    distinct = set(words)
    if len(words) < PROSE_WORDS or sum(map(_is_word, words)) < LETTERS * len(words):
        return False
    if len(distinct & asked) >= COPIED * len(distinct):
        return False
    return not any(len(distinct & other) >= ALIKE * len(distinct | other) for other in known)


def _is_word(token: str) -> bool:
    return token.strip(".,;:!?\"'()[]…“”’-–—").replace("'", "").replace("’", "").replace("-", "").isalpha()


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)
