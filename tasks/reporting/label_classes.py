"""Labels as the report shows them: right and wrong by class, and what `select` made of their proportions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tasks.core.handle import LEDGER, Handle
from tasks.core.row import CANONICAL
from tasks.metrics.answer_schema import AnswerSettings, parse
from tasks.metrics.intervals import Interval, rate

MOST = 60  # classes shown, those with the most rows; a table of hundreds is read by nobody


@dataclass(frozen=True)
class ClassScore:
    """A class on the holdout. rows: that are of it. recall: of these, the share that the model says is of it.
    precision: of those that the model says are of it, the share that is; None where it says so of none.
    """

    name: str
    rows: int
    recall: Interval | None
    precision: Interval | None


@dataclass(frozen=True)
class Kept:
    """A label that `select` took rows of, or all others together: its rows before and after."""

    label: str
    before: int
    after: int


def by_class(graded: pl.DataFrame, answer: AnswerSettings, confidence: float) -> list[ClassScore]:
    """graded: rows of one variant on one set. Rows that are of a class or are said to be, the most first."""
    pairs = [(_label(right, answer), _label(got, answer)) for right, got in graded.select("expected", "answer").rows()]
    are, said = Counter(right for right, _ in pairs), Counter(got for _, got in pairs)
    hit = Counter(right for right, got in pairs if right == got)
    names = sorted((name for name in are if name), key=lambda name: (-are[name], name))
    return [
        ClassScore(name, are[name], _rate(hit[name], are[name], confidence), _rate(hit[name], said[name], confidence))
        for name in names[:MOST]
    ]


def _rate(right: int, n: int, confidence: float) -> Interval | None:
    return rate(right, n, confidence) if n else None


def _label(text: str | None, answer: AnswerSettings) -> str:
    if not answer.json_schema:
        return (text or "").strip()
    value = (parse(text or "") or {}).get(answer.label)
    return value if isinstance(value, str) else "" if value is None else CANONICAL.encode(value)


def proportions(steps: Sequence[Handle]) -> list[Kept]:
    """What `select` did to each label, the one that lost most first; empty where it took nothing away, or rows have no
    labels.
    """
    place = next((i for i, step in enumerate(steps) if step.step == "select"), 0)
    if not place:
        return []
    ledger = pl.read_parquet(steps[place].folder / LEDGER).filter(pl.col("action").cast(pl.String) == "dropped")
    told = [json.loads(text) for text in ledger["evidence"]]
    groups = {(one["label"], one.get("slice", "")): (one["rows"], one["places"]) for one in told if "label" in one}
    labels: dict[str, list[int]] = {}
    for (label, _), (rows, places) in groups.items():
        counts = labels.setdefault(label, [0, 0])
        counts[0], counts[1] = counts[0] + rows, counts[1] + places
    kept = [Kept(label, *counts) for label, counts in labels.items()]
    before, after = steps[place - 1].rows, steps[place].rows
    rest = [Kept("", before - sum(k.before for k in kept), after - sum(k.after for k in kept))] if kept else []
    return [*sorted(kept, key=lambda k: (k.after - k.before, k.label)), *(one for one in rest if one.before)]
