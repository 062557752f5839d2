"""split: training and validation rows, apart from each other.

1. Rows that are loose relatives of each other (`group_threshold`) go to the same side.
2. Validation rows are drawn by label, in proportion: of a classification row the label is its answer, of an sft row the
   recipe's answer.label. Rows without one, preference pairs among them, are of one kind.

Where rows are chosen "by chance", it is by sha256: the row_id is one already, so its order is a shuffle that every
run repeats.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import polars as pl
from pydantic import Field

from tasks.core.answer import AnswerSettings, label_of
from tasks.core.errors import DataError
from tasks.core.home import digest_bytes
from tasks.core.ledger import Outcome, entries
from tasks.core.near_duplicates import near_duplicate_pairs
from tasks.core.prompts import prompts
from tasks.core.settings import DatasetKind, Settings


class SplitSettings(Settings):
    """How many rows watch over training, and what may not be on both sides."""

    # Share of rows that validate (early stopping). A tenth, as is usual; 0 trains without validation.
    validation: float = Field(default=0.1, ge=0, le=0.5)
    # Looser than dedupe's, which has removed everything above its own: a rewording must not validate its original.
    group_threshold: float = Field(default=0.5, gt=0, le=1)
    # Words a shingle, as in dedupe.
    ngram: int = Field(default=3, ge=1, le=10)


def split(rows: pl.DataFrame, settings: SplitSettings, answer: AnswerSettings, kind: DatasetKind | None = None) -> Outcome:
    """Add the column `split` (train or validation). kind: sft if it is not given.

    A label's validation share is rounded so that the total is right; groups are never cut, so it can be a little less.
    One group is validated at least, if there are two. Raises DataError when all rows have one label.
    """
    asked = _labelled(rows, answer, kind or DatasetKind())
    _check(asked, answer)
    validation = _validation(asked, settings)
    side = pl.when(pl.col("row_id").is_in(list(validation))).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return Outcome(rows.with_columns(split=side), entries("split", []))


def _labelled(rows: pl.DataFrame, answer: AnswerSettings, kind: DatasetKind) -> pl.DataFrame:
    """prompts with label, "" where rows have none."""
    if kind.name == "classification":
        label = pl.col("answer")
    elif answer.label:
        label = pl.col("answer").map_elements(lambda text: label_of(text, answer), return_dtype=pl.String)
    else:
        label = pl.lit("")
    return prompts(rows).with_columns(label=label.fill_null(""))


def _check(asked: pl.DataFrame, answer: AnswerSettings) -> None:
    labels = asked["label"].unique().to_list()
    if len(labels) == 1 and labels[0]:
        raise DataError(
            f"Only one class is left: all {asked.height:,} rows have {answer.label or 'the label'} = {labels[0]!r}.",
            where="step split, after the steps before it have dropped and quarantined rows",
            allowed=f"at least two values of {answer.label or 'the label'}",
            todo="add rows of the other classes, or see in the ledger why they went; if one class is meant, "
            "leave answer.label out of the recipe",
        )


def _validation(asked: pl.DataFrame, settings: SplitSettings) -> set[str]:
    """row_ids that validate: whole groups, drawn by the sha256 of their first row_id, label by label."""
    if settings.validation == 0:
        return set()
    label = dict(asked.select("row_id", "label").iter_rows())
    groups = _groups(asked, settings)
    seats = Counter(_seats(asked, settings.validation))
    chosen: list[list[str]] = []
    for group in sorted(groups, key=lambda group: digest_bytes(group[0].encode())):
        wanted = Counter(label[row_id] for row_id in group)
        if wanted <= seats:
            seats -= wanted
            chosen.append(group)
    if not chosen and len(groups) > 1:
        chosen = [min(groups, key=lambda group: (len(group), group))]
    return {row_id for group in chosen for row_id in group}


def _seats(asked: pl.DataFrame, share: float) -> dict[str, int]:
    """Validation rows a label, in proportion; what rounding leaves goes to the largest remainders."""
    counts = dict(asked.group_by("label").len().sort("label").iter_rows())
    seats = {label: int(share * rows) for label, rows in counts.items()}
    left = round(share * asked.height) - sum(seats.values())
    for label in sorted(counts, key=lambda label: (seats[label] - share * counts[label], label))[:left]:
        seats[label] += 1
    return seats


def _groups(asked: pl.DataFrame, settings: SplitSettings) -> list[list[str]]:
    """Connected groups of prompts alike at the group threshold, each sorted (union-find with path halving)."""
    parent = {row_id: row_id for row_id in asked["row_id"]}

    def root(row_id: str) -> str:
        while parent[row_id] != row_id:
            parent[row_id] = parent[parent[row_id]]
            row_id = parent[row_id]
        return row_id

    texts = asked.select("row_id", text="prompt")
    for a, b, _ in near_duplicate_pairs(texts, settings.group_threshold, settings.ngram).iter_rows():
        first, second = sorted((root(a), root(b)))
        parent[second] = first
    groups = defaultdict(list)
    for row_id in sorted(parent):
        groups[root(row_id)].append(row_id)
    return list(groups.values())
