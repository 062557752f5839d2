"""Answers of steps from the cache, for a contract that asks the same of the same rows (row_relations.py).

An answer counts as known only where the cache holds the very work: the step's code, its settings and the digests of all
its inputs are the key, and the digest of what it left is checked. Else the contract counts by itself: in data that
never went through the step, with other settings, or where a reviewer's word stands above the step's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl
from pydantic import BaseModel

from tasks.contract.row_relations import RelationSettings, StepInput
from tasks.core.handle import LEDGER, ROWS, Handle
from tasks.core.ledger import GONE
from tasks.core.row_kind import RowKind
from tasks.core.step_cache import Function, Input, result_of, work_key
from tasks.metrics.answer_schema import AnswerSettings

RowsAndStep = tuple[Handle, Function]  # rows, and the step that was given them
OTHER = ("$.partner", "$.match")  # where the evidence names the other row; without one a row is at odds with itself


@dataclass(frozen=True)
class HeldoutRows:
    """The rows that nothing may be trained on, by the names that decontaminate takes them by. None: there are none."""

    holdout: Handle | None = None
    edge_cases: Handle | None = None
    benchmarks: Handle | None = None

    def by_name(self) -> dict[str, Handle]:
        """Those that there are."""
        named = {"holdout": self.holdout, "edge_cases": self.edge_cases, "benchmarks": self.benchmarks}
        return {name: rows for name, rows in named.items() if rows is not None}


@dataclass(frozen=True)
class RelationInputs:
    """What relates the rows that a contract is for to each other and to held-out rows.

    settings: the recipe's, of dedupe, conflicts and decontaminate. seen_by_conflicts, seen_by_decontaminate: the rows
    that the step was given; None where the rows never went through it.
    """

    settings: RelationSettings = field(default_factory=RelationSettings)
    heldout: HeldoutRows = field(default_factory=HeldoutRows)
    seen_by_conflicts: RowsAndStep | None = None
    seen_by_decontaminate: RowsAndStep | None = None


def step_inputs(relations: RelationInputs, *, kind: RowKind, answer: AnswerSettings) -> dict[str, StepInput]:
    """By column the rows that its step was given, if it was given any."""
    settings = relations.settings
    asked: Mapping[str, Input] = {"kind": kind, "answer": answer}
    voted = step_input(relations.seen_by_conflicts, settings.contradictions, **asked)
    if voted and settings.contradictions.policy == "off":
        voted = replace(voted, removed=None)  # the step then holds back none of those that the contract counts
    heldout = relations.heldout.by_name()
    compared = step_input(relations.seen_by_decontaminate, settings.leaks, **asked, **heldout)
    return {column: seen for column, seen in (("conflicts_with", voted), ("leaked_from", compared)) if seen}


def step_input(source: RowsAndStep | None, settings: BaseModel, **inputs: Input) -> StepInput | None:
    """The rows that a step was given and, if it is known, which of them it let go of; None where there are no such
    rows.

    inputs: all that the step was given beside them; one that is None was not given.
    """
    if source is None:
        return None
    rows, step = source
    others = {name: value for name, value in inputs.items() if value is not None}
    made = result_of(work_key(step.__name__, step, settings, {"rows": rows, **others}))
    return StepInput(rows.folder / ROWS, _let_go(made) if made else None)


def _let_go(made: Handle) -> pl.DataFrame:
    """row_id, other."""
    gone = made.frame(LEDGER).filter(pl.col("action").cast(pl.String).is_in(GONE))
    return gone.select(
        "row_id", other=pl.coalesce(*(pl.col("evidence").str.json_path_match(path) for path in OTHER), "row_id")
    )
