"""Evaluate: mark every answer of every variant, and count with intervals on the holdout, the edge cases and each slice.

Marks are yes or no, one a metric (tasks/metrics/graders.py). All variants answered the same rows, so they are compared
row by row: a difference rests on the rows where exactly one of two is right. Intervals: tasks/metrics/intervals.py.
An answer that is no JSON object is wrong in every field. None is left out: one missing or doubled is an error. A metric
counts the rows that have it, which their own answers decide: one in text has no arguments to be right in, and a call is
no JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.settings import Settings
from tasks.core.text.interval_text import percent
from tasks.core.variants import TUNED
from tasks.core.work import StepDirs, StepResult
from tasks.facts.predictions import PredictionFacts
from tasks.facts.scores import Difference, Measured, Scores
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.graders import Said, Wanted, headline, measured
from tasks.metrics.intervals import paired_difference, rate

SETS = ("holdout", "edge_cases")
EXAMPLES = 5  # row ids named in an error: enough to find the cause, few enough to read


class EvaluateSettings(Settings):
    """How the tuned model is compared with what prompting alone reaches."""

    # Examples from the training rows in the few-shot baseline's prompt; 0 leaves that baseline out. Most of the gain is
    # there with 4, and little is added after 8 (Min et al. 2022, "Rethinking the role of demonstrations").
    few_shot: int = Field(default=4, ge=0, le=64)
    # System prompt of the prompted baselines, which need the task explained; empty: the one the tuned model has.
    prompted_system: str = ""
    # Of each two-sided interval. 0.95 is the custom; a rule that is just missed in truth then passes once in 40 times.
    confidence: float = Field(default=0.95, ge=0.5, lt=1)


def evaluate(
    place: StepDirs,
    *,
    settings: EvaluateSettings,
    answer: AnswerSettings,
    holdout: Handle,
    predictions: list[Handle],
    edge_cases: Handle | None = None,
) -> StepResult:
    """Write graded.parquet (a row per row, set and variant; a boolean column a metric, null where a row has none) and
    count it.

    predictions: one handle a variant, `tuned` among them, each with exactly one answer a row of holdout and edge cases.
    Raises DataError when answers are missing, doubled or unknown, or when an expected answer breaks its own schema.
    """
    frames = {"holdout": holdout.frame()} | ({"edge_cases": edge_cases.frame()} if edge_cases else {})
    wanted = {name: answers_wanted(name, frame, answer) for name, frame in frames.items()}
    expected = pl.concat([_expected(name, frame, wanted[name]) for name, frame in frames.items()])
    metrics = measured([one for by_row in wanted.values() for one in by_row.values()], answer)
    variants = _variants(predictions)
    graded = pl.concat([_grade(name, frame, expected, wanted, metrics, answer) for name, frame in variants.items()])
    graded.sort("set", "row_id", "variant").write_parquet(place.out / "graded.parquet")
    speaks = headline(measured([*wanted["holdout"].values()], answer), answer)
    facts = _count(graded, list(variants), slice_names(**frames), metrics, speaks, settings.confidence)
    return StepResult("scores", _line(facts), facts.written(), _table(facts), graded.height)


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
    slices: dict[str, list[Wanted]] = {name: [] for name in slice_names(**frames)}
    for name, frame in frames.items():
        for meta, one in zip(frame["meta"], answers_wanted(name, frame, answer).values(), strict=True):
            for place in filter(None, (name, _slice(meta))):
                slices[place].append(one)
    return {name: measured(wanted, answer) for name, wanted in slices.items()}


def answers_wanted(name: str, frame: pl.DataFrame, answer: AnswerSettings) -> dict[str, Wanted]:
    """What a set asks for, by row_id, in the order of its rows.

    Raises DataError when an expected answer is missing or breaks its schema: no model could ever be right there.
    """
    found = {row["row_id"]: Wanted.of(row) for row in frame.iter_rows(named=True)}
    if broken := [(row_id, fault) for row_id, wanted in found.items() if (fault := wanted.fault(answer))]:
        raise DataError(
            f"{len(broken):,} of {len(found):,} expected answers break the recipe's own answer form, or a tool's.",
            where="; ".join(f"{name} row {row_id[:12]}: {rule}" for row_id, rule in sorted(broken)[:EXAMPLES]),
            allowed="an assistant message at the end that keeps answer.json_schema; of tool calls, arguments that "
            "keep the "
            "schema of a tool on offer",
            todo=f"mend these rows of the {name} file, or the schema in the recipe",
        )
    return found


def _expected(name: str, frame: pl.DataFrame, wanted: Mapping[str, Wanted]) -> pl.DataFrame:
    """What a set asks and expects, as text: row_id, set, slice (empty: none), question, expected."""
    rows = [
        {
            "row_id": row["row_id"],
            "set": name,
            "slice": _slice(row["meta"]),
            "question": _asked(row["messages"]),
            "expected": said.told if (said := wanted[row["row_id"]].said) else None,
        }
        for row in frame.iter_rows(named=True)
    ]
    columns = ("row_id", "set", "slice", "question", "expected")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))


def _asked(messages: list[dict[str, str]]) -> str | None:
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
    return {name: handle.frame("predictions.parquet") for name, handle in zip(names, predictions, strict=True)}


def _grade(
    variant: str,
    frame: pl.DataFrame,
    expected: pl.DataFrame,
    wanted: Mapping[str, Mapping[str, Wanted]],
    metrics: tuple[str, ...],
    answer: AnswerSettings,
) -> pl.DataFrame:
    _check_complete(variant, frame, expected)
    rows = expected.join(frame.select("row_id", "set", "answer", "calls"), on=["row_id", "set"]).sort("set", "row_id")
    given = [Said(text, calls) for text, calls in rows.select("answer", "calls").iter_rows()]
    keys = rows.select("set", "row_id").iter_rows()
    marks = [wanted[name][row_id].marks(said, answer) for (name, row_id), said in zip(keys, given, strict=True)]
    told = pl.Series("answer", [said.told for said in given], pl.String)
    ordered = rows.select("row_id", "set", "slice", pl.lit(variant).alias("variant"), "question", "expected", told)
    columns = {name: pl.Series(name, [one.get(name) for one in marks], pl.Boolean) for name in metrics}
    return ordered.with_columns(**columns)


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
    metrics: tuple[str, ...],
    speaks: str,
    confidence: float,
) -> Scores:
    """speaks: the metric of the headline."""
    rates: list[Measured] = []
    differences: list[Difference] = []
    for name, metric, marks in _cells(graded, variants, slices, metrics):
        for variant, right in marks.items():
            got = rate(int(right.sum()), right.len(), confidence)
            rates.append(
                Measured(
                    variant=variant,
                    slice=name,
                    metric=metric,
                    right=int(right.sum()),
                    value=got.value,
                    low=got.low,
                    high=got.high,
                    n=got.n,
                )
            )
        for baseline in (v for v in variants if v != TUNED):
            wins, losses = int((marks[TUNED] & ~marks[baseline]).sum()), int((~marks[TUNED] & marks[baseline]).sum())
            got = paired_difference(wins, losses, marks[TUNED].len(), confidence)
            differences.append(
                Difference(
                    baseline=baseline,
                    slice=name,
                    metric=metric,
                    wins=wins,
                    losses=losses,
                    low=got.low,
                    high=got.high,
                    n=got.n,
                    difference=got.value,
                )
            )
    reached = {m.variant: m.value for m in rates if (m.slice, m.metric) == ("holdout", speaks)}
    best = max((v for v in variants if v != TUNED), key=lambda v: reached[v], default="")  # the first of equals
    return Scores(
        variants=variants,
        best_baseline=best,
        headline=speaks,
        confidence=confidence,
        metrics=rates,
        differences=differences,
    )


def _cells(
    graded: pl.DataFrame, variants: list[str], slices: tuple[str, ...], metrics: tuple[str, ...]
) -> Iterator[tuple[str, str, dict[str, pl.Series]]]:
    """Each slice and metric by name with the marks of every variant, aligned row by row; those
    alone that any row has.
    """
    frames = {v: graded.filter(pl.col("variant") == v).sort("set", "row_id") for v in variants}
    for name in slices:
        inside = pl.col("set" if name in SETS else "slice") == name
        within = {v: frame.filter(inside) for v, frame in frames.items()}
        for metric in metrics:
            marks = {v: frame[metric].drop_nulls() for v, frame in within.items()}
            if marks[TUNED].len():
                yield name, metric, marks


def _line(scores: Scores) -> str:
    measured = {m.variant: m for m in scores.metrics if (m.slice, m.metric) == ("holdout", scores.headline)}
    told = {variant: percent(m.value, m.low, m.high) for variant, m in measured.items()}
    best = scores.best_baseline
    against = f" against {told[best]} {best}" if best else ""
    return f"{scores.headline} {told[TUNED]} {TUNED}{against} on {measured[TUNED].n:,} rows"


def _table(scores: Scores) -> list[dict[str, Any]]:
    """For the UI: a row a slice and metric, a column a variant, and the paired difference to the best baseline."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for m in scores.metrics:
        row = rows.setdefault((m.slice, m.metric), {"slice": m.slice, "metric": m.metric, "rows": m.n})
        row[m.variant] = percent(m.value, m.low, m.high, digits=1)
    for d in scores.differences:
        if d.baseline == scores.best_baseline:
            told = percent(d.difference, d.low, d.high, digits=1, sign="+")
            rows[d.slice, d.metric][f"{TUNED} - {d.baseline}"] = told
    return list(rows.values())
