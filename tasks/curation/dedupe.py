"""dedupe: keep one of rows that say the same; each row that goes names the row that stays and how like it is.

Rows can be compared by their prompt, by their answer, by the pair of both, and by meaning; each has its own policy, and
all are weighed in one pass. When two rows are the same, and which one stays: tasks/relations/duplicates.py.

    sft             by prompt. What is left under one prompt after conflicts says the same thing in other words; under
                    a prompt that is nearly the same only rows that decide the same are compared.
    classification  by text, which is the prompt. A label is no answer to compare by.
    preference      by pair: prompt, chosen and rejected answer. One prompt with several judged answers is what
                    such data is.

A copy of a whole row always goes, whatever else is on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import polars as pl
from pydantic import Field

from tasks.core.errors import RecipeError
from tasks.core.ledger import ACTIONS, Outcome, entries, entry
from tasks.core.row_kind import SFT, RowKind
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.duplicates import (
    DuplicateSettings,
    EmbeddingSettings,
    JaccardSettings,
    RowComparison,
    comparison_by,
    duplicate_rows,
)
from tasks.similarity.near_duplicates import near_duplicate_pairs

__all__ = ["DedupeSettings", "dedupe", "near_duplicate_pairs"]

EACH: tuple[Literal["pair", "prompt", "answer"], ...] = ("pair", "prompt", "answer")


class DedupeSettings(DuplicateSettings):
    """What rows are compared by."""

    semantic: EmbeddingSettings = Field(default_factory=EmbeddingSettings)


def dedupe(
    rows: pl.DataFrame, settings: DedupeSettings, kind: RowKind = SFT, answer: AnswerSettings | None = None
) -> Outcome:
    """Remove duplicate rows: those that repeat another row.

    kind: sft if it is not given. answer: says where the label of a row is, if it has one. Evidence of each row that
    goes: kept (row_id of the row that stays for it), of (row, prompt, answer or pair: in what they are the same),
    jaccard or cosine (how like they are in that).
    """
    lost = duplicate_rows(rows, list(_views(settings, kind)), answer or AnswerSettings(), kind)
    told = rows.select("row_id", "source", "line").join(lost, on="row_id").iter_rows(named=True)
    kept = rows.join(lost, on="row_id", how="anti", maintain_order="left")
    return Outcome(kept, entries("dedupe", [_entry(row) for row in told]))


def _views(settings: DedupeSettings, kind: RowKind) -> Iterator[RowComparison]:
    """Those that are on, the one that asks most of two rows first: it is the one that is told."""
    for of in EACH:
        chosen: JaccardSettings = getattr(settings, of)
        policy = chosen.policy if chosen.policy != "auto" else "drop" if kind.compared_by == of else "off"
        if policy != "off":
            _refuse_labels(of, kind, f"dedupe.{of}.policy")
            yield comparison_by(of, chosen, kind, ACTIONS[policy])
    meant = settings.semantic
    if meant.policy != "off":
        _refuse_labels(meant.of, kind, "dedupe.semantic.of")
        columns = comparison_by(meant.of, JaccardSettings(), kind).columns
        yield RowComparison(meant.of, columns[:1], ACTIONS[meant.policy], meant)


def _refuse_labels(of: str, kind: RowKind, key: str) -> None:
    if of == "answer" and kind.answer_is_label:
        raise RecipeError(
            "Rows of a classification dataset cannot be compared by their answer, which is a label.",
            where=f"{key} in the recipe",
            allowed="prompt, or pair to keep rows of other labels apart",
            todo=f"remove {key}",
        )


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    about = {"kept": row["kept"], "of": row["of"], row["measure"]: round(row["score"], 4)}
    return entry(row, row["action"], row["reason"], **about)
