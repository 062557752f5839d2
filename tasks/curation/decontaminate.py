"""decontaminate: drop training rows that hold what the model is evaluated on: holdout, edge cases, a benchmark.

A row goes if its prompt is the same as a held-out row's or nearly so, if one of the two stands inside the other, or if
its answer holds a held-out row's answer. tasks/relations/leakage.py says what is compared of each kind of dataset;
contamination.py there how, and why wording that many rows share is no leak.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tasks.core.errors import DataError
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.row_kind import SFT, RowKind
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.leakage import leaks
from tasks.similarity.heldout_ngrams import LeakSettings

HOLDOUT, EDGE_CASES, BENCHMARK = "also in the holdout", "also in the edge cases", "also in a benchmark"


class DecontaminateSettings(LeakSettings):
    """When a training row counts as seen in a held-out row."""


def decontaminate(
    rows: pl.DataFrame,
    settings: DecontaminateSettings,
    holdout: pl.DataFrame | None = None,
    edge_cases: pl.DataFrame | None = None,
    benchmarks: pl.DataFrame | None = None,
    answer: AnswerSettings | None = None,
    kind: RowKind = SFT,
) -> Outcome:
    """Drop the rows that meet a held-out row, the holdout's first.

    kind: sft if it is not given. Evidence: match (row_id of the held-out row), source and line (where that is), of
    (prompt or answer: which of its texts), in (prompt, answer or rejected: where in the training row), coverage (share
    of the held-out text's n-grams that the row has), shared (how many), and jaccard where two prompts are alike as a
    whole. Raises DataError when every row leaks.
    """
    answer = answer or AnswerSettings()
    given = {HOLDOUT: holdout, EDGE_CASES: edge_cases, BENCHMARK: benchmarks}
    sets = {reason: one for reason, one in given.items() if one is not None and not one.is_empty()}
    if not sets or rows.is_empty():
        return Outcome(rows, entries("decontaminate", []))
    found, reasons = leaks(rows, list(sets.values()), settings, answer, kind), list(sets)
    told = [_entry(row, reasons[row["set"]]) for row in found.iter_rows(named=True)]
    if len(told) == rows.height:
        raise _all_leak(rows.height, list(dict.fromkeys(row["reason"] for row in told)))
    kept = rows.join(found, on="row_id", how="anti", maintain_order="left")
    return Outcome(kept, entries("decontaminate", told))


def _entry(row: dict[str, Any], reason: str) -> dict[str, Any]:
    about = {
        "match": row["match"],
        "source": row["match_source"],
        "line": row["match_line"],
        "of": row["of"],
        "in": row["in"],
    }
    numbers = {name: round(row[name], 4) for name in ("jaccard", "coverage", "shared") if row[name] is not None}
    return entry(row, "dropped", reason, **about, **numbers)


def _all_leak(rows: int, reasons: list[str]) -> DataError:
    return DataError(
        f"No row is left to train on: all {rows:,} rows are {' or '.join(reasons)}.",
        where="step decontaminate, data.train and data.holdout of the recipe",
        allowed="training rows whose prompts and answers are not in what the model is judged on",
        todo="make sure that data.train and data.holdout do not name the same file",
    )
