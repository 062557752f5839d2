"""split: training and validation rows, apart from each other and from every row that will be used to judge.

1. A row whose prompt is the same or nearly the same as a holdout or edge-case prompt goes: it would be graded on what
it saw.
2. A budget, if the recipe sets one, keeps that many rows, as even over the labels as the data allows.
3. Rows that are looser relatives of each other (`group_threshold`) go to the same side.
4. Validation rows are drawn by label, in proportion.

Where rows are chosen "by chance", it is by sha256: the row_id is one already, so its order is a shuffle that every
run repeats.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.answer import AnswerSettings, label_of
from tasks.core.errors import DataError
from tasks.core.home import digest_bytes
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.near_duplicates import near_duplicate_pairs
from tasks.core.prompts import prompts
from tasks.core.settings import Settings

HOLDOUT, EDGE_CASES, BUDGET = "also in the holdout", "also in the edge cases", "beyond the row budget"


class SplitSettings(Settings):
    """How many rows train, how many watch over training, and what may not be on both sides."""

    # Share of rows that validate (early stopping). A tenth, as is usual; 0 trains without validation.
    validation: float = Field(default=0.1, ge=0, le=0.5)
    # Rows to keep, validation included; 0 keeps all.
    rows: int = Field(default=0, ge=0)
    # When a row counts as seen in the holdout or the edge cases: the measure of dedupe.
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=3, ge=1, le=10)
    # Looser than dedupe's, which has removed everything above its own: a rewording must not validate its original.
    group_threshold: float = Field(default=0.5, gt=0, le=1)


def split(
    rows: pl.DataFrame, settings: SplitSettings, answer: AnswerSettings, holdout: pl.DataFrame, edge_cases: pl.DataFrame
) -> Outcome:
    """Add the column `split` (train or validation), and drop what is in the holdout or beyond the budget.

    A label's validation share is rounded so that the total is right; groups are never cut, so it can be a little less.
    One group is validated at least, if there are two. Raises DataError when no row is left, or only one label value.
    """
    asked = _labelled(rows, answer)
    lost = _leaks(asked, settings, {HOLDOUT: holdout, EDGE_CASES: edge_cases})
    clean = asked.filter(~pl.col("row_id").is_in(list(lost)))
    _check(clean, len(lost), answer)
    chosen = _within_budget(clean, settings.rows)
    lost |= {row_id: (BUDGET, {"budget": settings.rows}) for row_id in clean["row_id"] if row_id not in chosen}
    validation = _validation(clean.filter(pl.col("row_id").is_in(list(chosen))), settings)
    side = pl.when(pl.col("row_id").is_in(list(validation))).then(pl.lit("validation")).otherwise(pl.lit("train"))
    gone = pl.col("row_id").is_in(list(lost))
    told = [
        entry(row, "dropped", lost[row["row_id"]][0], **lost[row["row_id"]][1])
        for row in rows.filter(gone).select("row_id", "source", "line").iter_rows(named=True)
    ]
    return Outcome(rows.filter(~gone).with_columns(split=side), entries("split", told))


def _labelled(rows: pl.DataFrame, answer: AnswerSettings) -> pl.DataFrame:
    """prompts with label; without labels in the recipe all rows are of one kind."""
    text = pl.col("answer")
    label = text.map_elements(lambda a: label_of(a, answer), return_dtype=pl.String) if answer.label else pl.lit("")
    return prompts(rows).with_columns(label=label.fill_null(""))


Lost = dict[str, tuple[str, dict[str, Any]]]


def _leaks(asked: pl.DataFrame, settings: SplitSettings, judges: dict[str, pl.DataFrame]) -> Lost:
    """{row_id: (reason, evidence)} of rows that meet a judging row, the holdout's first."""
    lost: Lost = {}
    for reason, judge in judges.items():
        other = prompts(judge).unique("prompt", keep="first", maintain_order=True)
        where = {row["row_id"]: row for row in judge.select("row_id", "source", "line").iter_rows(named=True)}
        for row_id, met, jaccard in _met(asked, other, settings).iter_rows():
            at = where[met]
            evidence = {"match": met, "source": at["source"], "line": at["line"], "jaccard": round(jaccard, 4)}
            lost.setdefault(row_id, (reason, evidence))
    return lost


def _met(asked: pl.DataFrame, other: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Rows of `asked` with the same or nearly the same prompt as a row of `other`: row_id, match, jaccard, best first.

    The system message does not count here: a judging row's prompt is not to be seen under any.
    """
    exact = asked.join(other, on="prompt").select("row_id", match="row_id_right", jaccard=pl.lit(1.0))
    ours = asked.unique("prompt", keep="first", maintain_order=True)
    texts = [frame.select(row_id=mark + pl.col("row_id"), text="prompt") for mark, frame in (("a", ours), ("b", other))]
    pairs = near_duplicate_pairs(pl.concat(texts), settings.threshold, settings.ngram)
    across = pairs.filter(pl.col("row_id_a").str.starts_with("a") & pl.col("row_id_b").str.starts_with("b"))
    near = across.select(
        leader=pl.col("row_id_a").str.slice(1), match=pl.col("row_id_b").str.slice(1), jaccard="jaccard"
    )
    leader = asked.select("row_id", leader=pl.col("row_id").first().over("prompt"))
    near = leader.join(near, on="leader").select("row_id", "match", "jaccard")
    return pl.concat([exact, near]).sort("row_id", -pl.col("jaccard"), "match")


def _check(clean: pl.DataFrame, leaked: int, answer: AnswerSettings) -> None:
    if clean.is_empty():
        raise DataError(
            f"No row is left to train on: all {leaked:,} rows are also in the holdout or the edge cases.",
            where="step split, data.train and data.holdout of the recipe",
            allowed="training rows whose prompts are not in the holdout or the edge cases",
            todo="make sure that data.train and data.holdout do not name the same file",
        )
    labels = clean["label"].unique().to_list()
    if answer.label and len(labels) == 1:
        raise DataError(
            f"Only one class is left: all {clean.height:,} rows have {answer.label} = {labels[0]!r}.",
            where="step split, after the steps before it have dropped and quarantined rows",
            allowed=f"at least two values of {answer.label}",
            todo="add rows of the other classes, or see in the ledger why they went; if one class is meant, "
            "leave answer.label out of the recipe",
        )


def _within_budget(asked: pl.DataFrame, budget: int) -> set[str]:
    """row_ids kept: rare labels whole, the rest in equal parts, each label's rows in row_id order."""
    if not 0 < budget < asked.height:
        return set(asked["row_id"])
    by_label = asked.sort("row_id").group_by("label").agg("row_id").sort(pl.col("row_id").list.len(), "label")
    chosen: set[str] = set()
    for done, (_, ids) in enumerate(by_label.iter_rows()):
        chosen |= set(ids[: (budget - len(chosen)) // (by_label.height - done)])
    return chosen


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
