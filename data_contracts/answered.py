"""What a step has answered already, for a contract that asks the same of the same rows (relations.py).

An answer counts as known only where the cache holds the very work: the step's code, its settings and the digests of all its
inputs are the key, and the digest of what it left is checked. Else the contract counts by itself: in data that never went
through the step, with other settings, or where a reviewer's word stands above the step's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
from pydantic import BaseModel

from data_contracts.relations import Measures, Seen
from tasks.core.answer import AnswerSettings
from tasks.core.handle import LEDGER, ROWS, Handle
from tasks.core.ledger import GONE
from tasks.core.results import Input, result_of, work_key
from tasks.core.row_kind import RowKind

OTHER = ("$.partner", "$.match")  # where the evidence names the other row; without one a row is at odds with itself


def seen_by_steps(
    measures: Measures, seen_by_conflicts: Handle | None, seen_by_decontaminate: Handle | None, *, kind: RowKind,
    answer: AnswerSettings, **judges: Handle | None,
) -> dict[str, Seen]:  # fmt: skip
    """By column the rows that its step was given, if it was given any. judges: what decontaminate compares with, by name."""
    asked: Mapping[str, Input] = {"kind": kind, "answer": answer}
    voted = seen_by("conflicts", measures.contradictions, seen_by_conflicts, **asked)
    if voted and measures.contradictions.policy == "off":
        voted = replace(voted, found=None)  # the step then holds back none of those that the contract counts
    compared = seen_by("decontaminate", measures.leaks, seen_by_decontaminate, **asked, **judges)
    return {column: seen for column, seen in (("conflicts_with", voted), ("leaked_from", compared)) if seen}


def seen_by(step: str, settings: BaseModel, rows: Handle | None, **inputs: Input) -> Seen | None:
    """The rows that `step` was given and, if it is known, which of them it let go of; None where there are no such rows.

    inputs: all that the step was given beside them; one that is None was not given.
    """
    if rows is None:
        return None
    given = {name: value for name, value in inputs.items() if value is not None}
    made = result_of(work_key(step, f"tasks.{step}", settings, {"rows": rows, **given}))
    return Seen(rows.folder / ROWS, _let_go(made) if made else None)


def _let_go(made: Handle) -> pl.DataFrame:
    """row_id, other."""
    gone = made.frame(LEDGER).filter(pl.col("action").cast(pl.String).is_in(GONE))
    return gone.select("row_id", other=pl.coalesce(*(pl.col("evidence").str.json_path_match(path) for path in OTHER), "row_id"))
