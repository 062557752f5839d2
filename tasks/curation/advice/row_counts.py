"""Advice: one topic's finding on a dataset, and the topics that count rows. tasks/curation/advice/row_texts.py has the
others.

A topic is a function of `dataset`, one row a dataset row, sorted by row_id: row_id, split (train or validation),
system, prompt and answer (tasks/relations/prompts.py), said (of an answer what is neither label nor key), label (null
without one), turns (assistant messages), rejected. Advice quotes labels and nothing else of a row, so no personal data
gets into it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from tasks.curation.answer_forms.fitting import folded_label

Level = Literal["good", "note", "warning"]
Goal = Literal["style", "capability", "instruction"]
NAMED = 20  # row ids that a piece of advice carries: enough to look at by hand
# The fewest rows, and what they teach. OpenAI's guide sees a manner learned from 50 rows on; LIMA (Zhou 2023) is 1,000
# rows; sets that teach a model to follow instructions at large, from Alpaca on, have 50,000 and more.
GOALS: dict[Goal, tuple[int, str]] = {
    "style": (50, "a manner or a fixed form"),
    "capability": (1_000, "a new capability"),
    "instruction": (50_000, "following instructions at large"),
}
EVEN = 0.5  # effective labels a label; Banking77 has 0.95, nine rows of ten under one of two labels 0.7
HALF = 0.5
VARIED = 10  # different system prompts, none of them that of half the rows: meant to vary
FEW_CONVERSATIONS = 0.05


@dataclass(frozen=True)
class Advice:
    """Finding on one topic. level: good asks for nothing. do: one sentence, empty when good. rows: row ids, the worst
    first. numbers: JSON.
    """

    topic: str
    level: Level
    says: str
    do: str
    rows: list[str]
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Removed:
    """What steps took out of the rows that were read. held: rows that wait for a person, conversations: those of
    several turns, labels: how many of each label. over_budget: rows that select left out.

    Whoever brings more rows of a kind that is held brings more of what is held: these are looked at first.
    """

    held: int = 0
    conversations: int = 0
    over_budget: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)


NOTHING = Removed()


def no_concern(topic: str, says: str, numbers: dict[str, Any]) -> Advice:
    return Advice(topic, "good", says, "", [], numbers)


def concern(level: Level, topic: str, says: str, do: str, rows: Iterable[str], numbers: dict[str, Any]) -> Advice:
    """Advice that somebody should act on (warning) or look at (note); of `rows` the first are named."""
    return Advice(topic, level, says, do, list(rows)[:NAMED], numbers)


def enough_rows(dataset: pl.DataFrame, goal: Goal, removed: Removed = NOTHING) -> Advice:
    """Training rows against what the goal takes."""
    rows = dataset.filter(pl.col("split") == "train").height
    least, aim = GOALS[goal]
    numbers = {"train_rows": rows, "goal": goal, "least": least}
    if rows >= least:
        return no_concern("rows", f"{rows:,} training rows can teach {aim} ({least:,} and up).", numbers)
    reached = [told for needed, told in GOALS.values() if rows >= needed]
    says = f"{rows:,} training rows are few for {aim}, which takes {least:,} and up"
    says += f"; they can teach {reached[-1]}." if reached else "."
    return concern("warning", "rows", says, _more_rows(least - rows, removed), [], numbers)


def _more_rows(missing: int, removed: Removed) -> str:
    if removed.over_budget:
        return f"Raise select.rows in the recipe, whose budget left {removed.over_budget:,} rows out, or aim at less."
    first = f"Look at the {removed.held:,} rows that are held (the review sheet has them)"
    if removed.held >= missing:
        return f"{first}, or aim at less."
    return f"{first}, bring more, or aim at less." if removed.held else f"Bring {missing:,} more rows, or aim at less."


def system_prompts(dataset: pl.DataFrame, replaced: bool) -> Advice:
    """Whether all rows stand under one system message. replaced: the recipe's own takes the place of theirs."""
    topic = "system prompts"
    if replaced:
        return no_concern(topic, "The recipe's system prompt takes the place of every row's own.", {})
    counts = [(str(text), int(n)) for text, n in dataset.group_by("system").len().sort("len", "system").iter_rows()]
    if len(counts) < 2:
        says = "No row has a system prompt." if counts and not counts[0][0] else "All rows have the same one."
        return no_concern(topic, says, {"different": len(counts)})
    commonest, most = counts[-1]
    others = dataset.filter(pl.col("system") != commonest)["row_id"].to_list()
    numbers = {"different": len(counts), "rows_under_commonest": most, "rows_under_others": len(others)}
    if most < HALF * dataset.height and len(counts) >= VARIED:
        says = f"There are {len(counts):,} of them, and none is that of half the rows."
        do = "If the model will be served under one, set prompt.system in the recipe."
        return concern("note", topic, says, do, [], numbers)
    says = f"{len(others):,} of {dataset.height:,} rows have another than most, or none; there are {len(counts):,}."
    do = "Set prompt.system in the recipe, so that training and serving know one."
    return concern("warning", topic, says, do, others, numbers)


def label_spellings(dataset: pl.DataFrame) -> Advice | None:
    """Labels that differ in case, width or separators alone; None where none do. Both are in use, for format has made
    slips one, and nobody but a person knows whether they are two.
    """
    groups: dict[str, list[str]] = {}
    for label in dataset["label"].drop_nulls().unique().sort():
        groups.setdefault(folded_label(label), []).append(label)
    twins = [labels for labels in groups.values() if len(labels) > 1]
    if not twins:
        return None
    rows = dataset.filter(pl.col("label").is_in([label for labels in twins for label in labels]))["row_id"]
    named = "; ".join(" and ".join(map(repr, labels)) for labels in twins[:NAMED])
    says = f"Labels that differ in spelling alone are all in use, and stay apart: {named}."
    do = "If they are one, say so in the recipe: format: {values: {FIELD: {OLD: NEW}}}, or label for FIELD."
    return concern("note", "spellings of labels", says, do, rows, {"labels": len(twins)})


def label_counts(dataset: pl.DataFrame, min_rows: int, removed: Removed = NOTHING) -> Advice | None:
    """Labels with too few training rows, and labels that outweigh the rest; None where rows have no label."""
    train = dataset.filter(pl.col("split") == "train").drop_nulls("label")
    ranked = train.group_by("label").len().sort("len", "label").iter_rows()
    counts = {str(label): int(rows) for label, rows in ranked}
    if not counts:
        return None
    few = {label: rows for label, rows in counts.items() if rows < min_rows}
    shares = [rows / train.height for rows in counts.values()]
    # Exp of the entropy: effective labels.
    even = math.exp(-sum(share * math.log(share) for share in shares)) / len(counts)
    rarest, commonest = next(iter(counts)), next(reversed(counts))
    numbers = {
        "labels": len(counts),
        "evenness": round(even, 3),
        "rarest": counts[rarest],
        "commonest": counts[commonest],
        "too_few": dict(list(few.items())[:NAMED]),
    }
    if few:
        rows = train.filter(pl.col("label").is_in(list(few)))["row_id"]
        says = (
            f"{len(few):,} of {len(counts):,} labels have fewer than {min_rows} training rows; {rarest!r} has "
            f"{counts[rarest]}."
        )
        return concern("warning", "labels", says, _more_of_labels(few, removed), rows, numbers)
    if even < EVEN:
        says = f"{commonest!r} has {counts[commonest]:,} training rows, {rarest!r} has {counts[rarest]:,}."
        do = "Set a row budget in the recipe, which evens labels out, and read the figures of rare labels one by one."
        return concern("note", "labels", says, do, train.filter(pl.col("label") == rarest)["row_id"], numbers)
    return no_concern(
        "labels", f"Each of {len(counts):,} labels has {counts[rarest]:,} training rows or more.", numbers
    )


def _more_of_labels(few: Iterable[str], removed: Removed) -> str:
    held = {label: removed.labels[label] for label in few if removed.labels.get(label)}
    if not held:
        return "Bring rows of these labels or merge them with others: a label this rare is hardly learned."
    named = ", ".join(f"{label!r} {rows:,}" for label, rows in list(held.items())[:NAMED])
    return f"Look first at the rows of these labels that are held ({named}); else merge them: they are hardly learned."


def conversations(dataset: pl.DataFrame, removed: Removed = NOTHING) -> Advice:
    """Rows of one turn and of several: a handful of either among the other is there by accident."""
    many = dataset.filter(pl.col("turns") > 1)["row_id"].to_list()
    share = len(many) / max(dataset.height, 1)
    numbers = {"rows": len(many), "share": round(share, 4), "most_turns": dataset["turns"].max()}
    if not 0 < share < FEW_CONVERSATIONS:
        says = f"{share:.0%} of the rows are conversations of several turns." if many else "Every row is of one turn."
        return no_concern("turns", says, numbers)
    says = (
        f"Conversations of several turns: {len(many):,} of {dataset.height:,} rows ({share:.1%}), "
        "too few to learn from."
    )
    more = f"Look at the {removed.conversations:,} that are held" if removed.conversations else "Bring more"
    do = f"{more} if the model is to hold conversations; else leave these out."
    return concern("note", "turns", says, do, many, numbers)


def validation(dataset: pl.DataFrame, min_rows: int, removed: Removed = NOTHING) -> Advice:
    """Whether the rows that watch over training are enough to see anything."""
    rows = dataset.filter(pl.col("split") == "validation").height
    numbers = {"rows": rows}
    if rows >= min_rows:
        return no_concern("validation", f"{rows:,} rows watch over training.", numbers)
    says = (
        f"Only {rows:,} rows watch over training: their loss moves by chance."
        if rows
        else "No row watches over training."
    )
    more = "look at the rows that are held" if removed.held else "bring more rows"
    return concern("note", "validation", says, f"Raise split.validation in the recipe, or {more}.", [], numbers)
