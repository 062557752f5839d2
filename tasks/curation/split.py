"""split: part training rows from validation rows.

1. Rows that are loose relatives of each other (`group_threshold`) go to the same side, under any system message. What
   many rows share, a frame of instructions, makes no relatives.
2. Validation rows are drawn by label, in proportion: of a classification row the label is its answer, of an sft row the
   recipe's answer.label. Rows without one, preference pairs among them, are of one kind.

Where rows are chosen "by chance", it is by sha256: the row_id is one already, so its order is a shuffle that every
run repeats.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.home import digest_bytes
from tasks.core.ledger import Outcome, entries
from tasks.core.row_kind import SFT, RowKind
from tasks.core.settings import Settings
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.relations.prompts import prompts
from tasks.similarity.parallel import Ints
from tasks.similarity.set_join import Threshold, join
from tasks.similarity.shingles import ShingleSets, shingle_sets

FEW, FEWEST = 10, 3  # texts: fewer that share a shingle are no form of the data; where a quarter has it, so many
MOST_PAIRS = 2_000_000  # some seconds; a usual million prompts has a quarter of it


class SplitSettings(Settings):
    """How many rows watch over training, and what may not be on both sides."""

    # Share of rows that validate (early stopping). A tenth, as is usual; 0 trains without validation.
    validation: float = Field(default=0.1, ge=0, le=0.5)
    # Looser than dedupe's, which has removed everything above its own: a rewording must not validate its original.
    group_threshold: float = Field(default=0.5, gt=0, le=1)
    # Words a shingle, as in dedupe.
    ngram: int = Field(default=3, ge=1, le=10)


def split(rows: pl.DataFrame, settings: SplitSettings, answer: AnswerSettings, kind: RowKind = SFT) -> Outcome:
    """Add the column `split` (train or validation). kind: sft if it is not given.

    A label's validation share is rounded so that the total is right; groups are never cut, so it can be a little less.
    One group is validated at least, if there are two. Raises DataError when all rows have one label.
    """
    asked = _labelled(rows, answer, kind)
    _check(asked, answer)
    validation = _validation(asked, settings)
    side = pl.when(pl.col("row_id").is_in(list(validation))).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return Outcome(rows.with_columns(split=side), entries("split", []))


def _labelled(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> pl.DataFrame:
    """prompts with label, "" where rows have none."""
    if kind.answer_is_label:
        label = pl.col("answer")
    elif answer.label and kind.has_label:
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
    """row_ids of connected groups of prompts that are the same or alike at the group threshold, each sorted."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    texts = asked["prompt"].unique().sort()  # in the order of their dense rank
    first, second = _relatives(texts, settings)
    edges = coo_matrix((np.ones(len(first), np.bool_), (first, second)), shape=(len(texts), len(texts)))
    group = pl.Series(connected_components(edges, directed=False)[1])
    place = asked.select(place=pl.col("prompt").rank("dense") - 1, row_id="row_id")
    placed = place.select("row_id", group=group.gather(place["place"])).sort("row_id")
    return placed.group_by("group", maintain_order=True).agg("row_id")["row_id"].to_list()


def _relatives(texts: pl.Series, settings: SplitSettings) -> tuple[Ints, Ints]:
    """Pairs of texts that are alike, as two columns of places.

    Shingles that a tenth of the texts have, of a few dozen a quarter, are the form of the data and do not count: else
    all rows would be one group, and nothing would validate. Where there are still more pairs than can be held, fewer
    texts make a form.
    """
    sets, limit = shingle_sets([texts], settings.ngram), Threshold.of(settings.group_threshold)
    common = min(max(FEW, len(texts) // 10), max(FEWEST, len(texts) // 4))
    while (found := join(_without(sets, common), limit, MOST_PAIRS)) is None:
        common //= 10
    return found[0], found[1]


def _without(sets: ShingleSets, common: int) -> ShingleSets:
    """The sets without the shingles that more than `common` of them have; a sketch of nothing rules nothing out."""
    keep = np.bincount(sets.shared, minlength=sets.shingles)[sets.shared] <= common
    if keep.all():
        return sets
    ends = np.append(0, np.cumsum(keep))
    starts, lengths = ends[sets.starts], ends[sets.starts + sets.lengths] - ends[sets.starts]
    size = sets.size - sets.lengths + lengths
    order = np.argsort(size, kind="stable")
    order = order[lengths[order] > 0]
    sketch = np.zeros((4, len(order)), np.uint64)
    return ShingleSets(
        sets.row[order], size[order], starts[order], lengths[order], sets.shared[keep], sets.shingles, sketch
    )
