"""Evaluate: score every answer of every variant, and count with intervals on holdout, edge cases and each slice.

A metric (tasks/metrics/catalog.py) says yes or no to an answer, or gives it a number. All variants answered the same
rows, so they are compared row by row: a difference of shares rests on the rows where exactly one of two is right, one
of numbers on each row's difference. Intervals: tasks/metrics/intervals.py. No answer is left out: one missing or
doubled is an error. A metric counts the rows that have it, which their own answers decide: one in text has no arguments
to be right in, and a call is no JSON text. Rows that ask the same are one question to the intervals, and the number of
questions is told (tasks/relations/repeats.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.settings import MisfitError, Settings
from tasks.core.variants import CHAMPION, CLASSICAL, TUNED
from tasks.core.work import StepDirs, StepResult
from tasks.facts.predictions import PREDICTIONS, PredictionFacts
from tasks.facts.scores import ComparedChampion, Difference, Measured, Scores
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.base import Metric
from tasks.metrics.catalog import headline, measured_on, metrics_of
from tasks.metrics.reference import ModelAnswer, Reference
from tasks.metrics.scoring import difference_of, interval_of, score_column, wins_and_losses
from tasks.relations.repeats import questions

SETS = ("holdout", "edge_cases")
COLUMNS = (
    "row_id",
    "set",
    "slice",
    "variant",
    "question",
    "expected",
    "answer",
)  # of graded.parquet, before the metrics
QUESTION = "number of its question"  # no name that a metric can have
EXAMPLES = 5  # row ids named in an error: enough to find the cause, few enough to read


class EvaluateSettings(Settings):
    """How the tuned model is compared with what prompting alone reaches."""

    # Examples from the training rows in the few-shot baseline's prompt; 0 leaves that baseline out. Most of the gain is
    # there with 4, and little is added after 8 (Min et al. 2022, "Rethinking the role of demonstrations").
    few_shot: int = Field(default=4, ge=0, le=64)
    # System prompt of the prompted baselines, which need the task explained; empty: the one the tuned model has, and
    # after it the labels, for who is never told what may be answered is wrong for that alone.
    prompted_system: str = ""
    # Of each two-sided interval. 0.95 is the custom; a rule that is just missed in truth then passes once in 40 times.
    confidence: float = Field(default=0.95, ge=0.5, lt=1)

    def fitted(self, recipe: Any, folder: Path) -> Self:
        fields = recipe.answer.graded
        reserved = [*(Counter(m.name for m in metrics_of(recipe.answer)) - Counter(fields)), *COLUMNS]
        for i, field in enumerate(fields):
            if field in reserved:
                problem = f"{field!r} is a name that evaluation keeps for itself, like {', '.join(reserved)}"
                raise MisfitError(("graded", i), problem, section="answer", todo="give the field another name")
        return self


def evaluate(
    place: StepDirs,
    *,
    settings: EvaluateSettings,
    answer: AnswerSettings,
    holdout: Handle,
    predictions: list[Handle],
    edge_cases: Handle | None = None,
    champion: ComparedChampion | None = None,
) -> StepResult:
    """Write graded.parquet (a row per row, set and variant; a column a metric, of booleans or of numbers, null where a
    row has none) and count it.

    predictions: one handle a variant, `tuned` among them, each with exactly one answer a row of holdout and edge cases.
    champion: who is, or why that one could not be asked.
    Raises DataError when answers are missing, doubled or unknown, or when an expected answer breaks its own schema.
    """
    frames = {"holdout": holdout.frame()} | ({"edge_cases": edge_cases.frame()} if edge_cases else {})
    references = {name: references_of(name, frame, answer) for name, frame in frames.items()}
    expected = pl.concat([_expected(name, frame, references[name]) for name, frame in frames.items()])
    every = [one for by_row in references.values() for one in by_row.values()]
    metrics = measured_on(every, metrics_of(answer))
    variants = _variants(predictions)
    graded = pl.concat([_grade(name, frame, expected, references, metrics) for name, frame in variants.items()])
    graded.sort("set", "row_id", "variant").write_parquet(place.out / "graded.parquet")
    asked = _questions(frames, answer)
    graded = graded.join(asked, on=["set", "row_id"], how="left")
    different = asked.filter(pl.col("set") == "holdout")[QUESTION].n_unique()
    speaks = headline([m for m in measured_on(references["holdout"].values(), metrics) if different >= m.least_rows])
    scores = _count(graded, list(variants), slice_names(**frames), metrics, speaks, settings.confidence)
    told = (PredictionFacts.of(handle) for handle in predictions)
    cut = {one.variant: one.cut / max(1, len(expected)) for one in told}
    about = {"cut": cut, "label_metric": _label_metric(variants, answer), "champion": champion}
    scores = scores.model_copy(update=about)
    return StepResult("scores", _line(scores), scores.written(), _table(scores), graded.height)


def _label_metric(variants: Mapping[str, pl.DataFrame], answer: AnswerSettings) -> str:
    """The metric that is about a row's label, where a classifier of labels is among the variants."""
    if not any(name in CLASSICAL for name in variants):
        return ""
    return answer.label if answer.label in answer.graded else "" if answer.json_schema else "exact"


def _questions(frames: Mapping[str, pl.DataFrame], answer: AnswerSettings) -> pl.DataFrame:
    """set, row_id, QUESTION: a number, equal for rows of a set that ask the same."""
    asked = [
        {"set": name, "row_id": row_id, QUESTION: stands}
        for name, frame in frames.items()
        for row_id, stands in questions(frame, answer).items()
    ]
    schema = {"set": pl.String, "row_id": pl.String, QUESTION: pl.String}
    return pl.DataFrame(asked, schema=schema).with_columns(pl.col(QUESTION).rank("dense"))


def slice_names(holdout: pl.DataFrame, edge_cases: pl.DataFrame | None = None) -> tuple[str, ...]:
    """All slices of these rows: each set as a whole, then each `slice` in meta by name.

    Raises DataError when one name would mean two things: a set, or slices of both sets.
    """
    frames = {"holdout": holdout} | ({} if edge_cases is None else {"edge_cases": edge_cases})
    named = [{name for name in map(_slice, frame["meta"]) if name} for frame in frames.values()]
    twice = set.intersection(*named) if len(named) > 1 else set()
    if taken := sorted(twice | set.union(*named).intersection(SETS)):
        raise DataError(
            f"The slice name {taken[0]!r} would mean two things.",
            where="column `slice` of the holdout and the edge cases",
            allowed=f"names other than {' and '.join(SETS)}, each in one of the two sets only",
            todo="rename the slice in one of the files",
        )
    return (*frames, *sorted(set.union(*named)))


def measured_in(frames: Mapping[str, pl.DataFrame], answer: AnswerSettings) -> dict[str, tuple[str, ...]]:
    """The metrics that each slice of these sets has, each set as a whole among them. Raises DataError as `evaluate`
    would.
    """
    found: dict[str, tuple[str, ...]] = dict.fromkeys(slice_names(**frames), ())
    for name, metric, _ in metric_rows(frames, answer):
        found[name] += (metric.name,)
    return found


def metric_rows(
    frames: Mapping[str, pl.DataFrame], answer: AnswerSettings
) -> Iterator[tuple[str, Metric, list[tuple[Reference, str]]]]:
    """Each slice and each metric that it has, with its rows: what they ask for, and what they ask."""
    slices: dict[str, list[tuple[Reference, str]]] = {name: [] for name in slice_names(**frames)}
    for name, frame in frames.items():
        references = references_of(name, frame, answer).values()
        for meta, said, one in zip(frame["meta"], frame["messages"].to_list(), references, strict=True):
            for place in filter(None, (name, _slice(meta))):
                slices[place].append((one, _question(said) or ""))
    for name, rows in slices.items():
        for metric in measured_on([one for one, _ in rows], metrics_of(answer)):
            yield name, metric, [row for row in rows if metric.applies(row[0])]


def references_of(name: str, frame: pl.DataFrame, answer: AnswerSettings) -> dict[str, Reference]:
    """What a set asks for, by row_id, in the order of its rows.

    Raises DataError when an expected answer is missing or breaks its schema: no model could ever be right there.
    """
    references = {row["row_id"]: Reference.of(row) for row in frame.iter_rows(named=True)}
    if broken := [(row_id, fault) for row_id, one in references.items() if (fault := one.fault(answer))]:
        raise DataError(
            f"{len(broken):,} of {len(references):,} expected answers break the recipe's own answer form, or a tool's.",
            where="; ".join(f"{name} row {row_id[:12]}: {rule}" for row_id, rule in sorted(broken)[:EXAMPLES]),
            allowed="an assistant message at the end that keeps answer.json_schema; of tool calls, arguments that "
            "keep the schema of a tool on offer",
            todo=f"mend these rows of the {name} file, or the schema in the recipe",
        )
    return references


def _expected(name: str, frame: pl.DataFrame, references: Mapping[str, Reference]) -> pl.DataFrame:
    """What a set asks and expects, as text: row_id, set, slice (empty: none), question, expected."""
    rows = [
        {
            "row_id": row["row_id"],
            "set": name,
            "slice": _slice(row["meta"]),
            "question": _question(row["messages"]),
            "expected": right.as_text if (right := references[row["row_id"]].answer) else None,
        }
        for row in frame.iter_rows(named=True)
    ]
    columns = ("row_id", "set", "slice", "question", "expected")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def _question(messages: list[dict[str, str]]) -> str | None:
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), None)


def _slice(meta: str) -> str:
    value = json.loads(meta or "{}").get("slice")
    return "" if value is None else str(value)


def _variants(predictions: list[Handle]) -> dict[str, pl.DataFrame]:
    names = [PredictionFacts.of(handle).variant for handle in predictions]
    if TUNED not in names or len(set(names)) < len(names):
        raise DataError(
            f"The variants to compare are {', '.join(names) or 'none'}.",
            where="step evaluate: predictions",
            allowed=f"{TUNED!r} once, and each baseline once",
            todo="run predict once for each variant",
        )
    return {name: handle.frame(PREDICTIONS) for name, handle in zip(names, predictions, strict=True)}


def _grade(
    variant: str,
    frame: pl.DataFrame,
    expected: pl.DataFrame,
    references: Mapping[str, Mapping[str, Reference]],
    metrics: tuple[Metric, ...],
) -> pl.DataFrame:
    _check_complete(variant, frame, expected)
    rows = expected.join(frame.select("row_id", "set", "answer", "calls"), on=["row_id", "set"]).sort("set", "row_id")
    answers = [ModelAnswer(text, calls) for text, calls in rows.select("answer", "calls").iter_rows()]
    asked = [references[name][row_id] for name, row_id in rows.select("set", "row_id").iter_rows()]
    texts = pl.Series("answer", [answer.as_text for answer in answers], pl.String)
    graded = rows.with_columns(texts, variant=pl.lit(variant)).select(COLUMNS)
    return graded.with_columns(score_column(metric, asked, answers) for metric in metrics)


def _check_complete(variant: str, frame: pl.DataFrame, expected: pl.DataFrame) -> None:
    key = ["set", "row_id"]
    problems = {
        "rows without an answer": expected.join(frame.drop_nulls("answer"), on=key, how="anti"),
        "rows with more than one answer": frame.filter(pl.struct(key).is_duplicated()).unique(key),
        "answers to rows of neither the holdout nor the edge cases": frame.join(expected, on=key, how="anti"),
    }
    found = {what: rows.sort(key) for what, rows in problems.items() if rows.height}
    if found:
        counts = ", ".join(f"{what}: {rows.height:,}" for what, rows in found.items())
        ids = [f"{s} {i[:12]}" for rows in found.values() for s, i in rows.select(key).head(EXAMPLES).iter_rows()]
        raise DataError(
            f"Predictions of {variant}: {counts}.",
            where=", ".join(ids),
            allowed="exactly one answer for each row of the holdout and the edge cases",
            todo="run predict again on the same holdout and edge cases",
        )


def _count(
    graded: pl.DataFrame,
    variants: list[str],
    slices: tuple[str, ...],
    metrics: tuple[Metric, ...],
    speaks: Metric,
    confidence: float,
) -> Scores:
    """speaks: the metric of the headline."""
    measured: list[Measured] = []
    differences: list[Difference] = []
    for name, metric, columns, asked in _cells(graded, variants, slices, metrics):
        measured += [_measured(variant, name, metric, scores, confidence, asked) for variant, scores in columns.items()]
        tuned = columns.pop(TUNED)
        differences += [_difference(v, name, metric, tuned, base, confidence, asked) for v, base in columns.items()]
    scores = Scores(
        variants=variants,
        best_baseline="",
        headline=speaks.name,
        confidence=confidence,
        metrics=measured,
        differences=differences,
        words={metric.name: metric.words for metric in metrics},
        questions=_different(graded.filter(pl.col("variant") == TUNED), slices),
    )
    best = scores.best("holdout", speaks.name, scores.prompted)
    return scores.model_copy(update={"best_baseline": best.variant if best else ""})


def _different(rows: pl.DataFrame, slices: tuple[str, ...]) -> dict[str, int]:
    """How many different questions each of these slices asks, of those alone in which some repeat."""
    asked = {name: rows.filter(_inside(name))[QUESTION] for name in slices}
    return {name: numbers.n_unique() for name, numbers in asked.items() if numbers.is_duplicated().any()}


def _inside(slice: str) -> pl.Expr:
    return pl.col("set" if slice in SETS else "slice") == slice


def _measured(
    variant: str, slice: str, metric: Metric, scores: pl.Series, confidence: float, asked: list[int]
) -> Measured:
    right = None if metric.is_number else int(scores.sum())
    interval = interval_of(scores, confidence, asked)
    return Measured(variant=variant, slice=slice, metric=metric.name, right=right, **asdict(interval))


def _difference(
    baseline: str,
    slice: str,
    metric: Metric,
    tuned: pl.Series,
    base: pl.Series,
    confidence: float,
    asked: list[int],
) -> Difference:
    wins, losses = wins_and_losses(tuned, base)
    interval = difference_of(tuned, base, confidence, asked)
    return Difference(
        baseline=baseline,
        slice=slice,
        metric=metric.name,
        wins=wins,
        losses=losses,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        difference=interval.value,
    )


def _cells(
    graded: pl.DataFrame, variants: list[str], slices: tuple[str, ...], metrics: tuple[Metric, ...]
) -> Iterator[tuple[str, Metric, dict[str, pl.Series], list[int]]]:
    """Each slice and metric with the scores of every variant, aligned row by row, and the number of each row's
    question; those alone that enough questions have.
    """
    frames = {v: graded.filter(pl.col("variant") == v).sort("set", "row_id") for v in variants}
    for name in slices:
        within = {v: frame.filter(_inside(name)) for v, frame in frames.items()}
        for metric in metrics:
            columns = {v: frame[metric.name].drop_nulls() for v, frame in within.items()}
            asked = within[TUNED].filter(pl.col(metric.name).is_not_null())[QUESTION]
            if asked.n_unique() >= metric.least_rows:
                yield name, metric, columns, asked.to_list()


def _line(scores: Scores) -> str:
    measured = {m.variant: m for m in scores.metrics if (m.slice, m.metric) == ("holdout", scores.headline)}
    best = scores.best_baseline
    against = f" against {measured[best].text()} {best}" if best else ""
    if scores.champion and CHAMPION in measured:
        against += f" and {measured[CHAMPION].text()} {CHAMPION} (version {scores.champion.version})"
    rows = f"{measured[TUNED].n:,} rows{scores.repeats('holdout')}"
    return f"{scores.headline} {measured[TUNED].text()} {TUNED}{against} on {rows}"


def _table(scores: Scores) -> list[dict[str, Any]]:
    """For the UI: a row a slice and metric, a column a variant, and the paired differences to the best prompted
    baseline and to the champion.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for m in scores.metrics:
        row = rows.setdefault((m.slice, m.metric), {"slice": m.slice, "metric": m.metric, "rows": m.n})
        row[m.variant] = m.text(digits=1)
    for d in scores.differences:
        if d.baseline in (scores.best_baseline, CHAMPION):
            rows[d.slice, d.metric][f"{TUNED} - {d.baseline}"] = d.text(digits=1)
    return list(rows.values())
