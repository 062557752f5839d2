"""In what order a person should look at rows: what gains the most per minute comes first.

A case is the rows that name each other as evidence, read together. What a row gains is one part of the curated rows
that have its label (1 / (1 + rows)): the tenth row of a label adds more than the thousandth. A row whose label nobody
can tell counts as one of a middling label. What a case costs is the time to read its texts, each text once, and to
decide each row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings, label_of, parse
from tasks.relations.prompts import prompts
from tasks.similarity.words import words


@dataclass(frozen=True)
class Held:
    """One quarantined row as it is shown.

    row: row_id, source, line, step, reason. texts: prompt, answer, rejected. beside: the rows that the evidence names,
    as text; others: their ids. read: it came through ingest, so that it can be kept as it is.
    """

    row: dict[str, Any]
    evidence: dict[str, Any]
    texts: dict[str, str]
    beside: str
    others: tuple[str, ...]
    read: bool

    @property
    def row_id(self) -> str:
        return str(self.row["row_id"])

    @property
    def step(self) -> str:
        return str(self.row["step"])

    @property
    def reason(self) -> str:
        return str(self.row["reason"])

    def suggestion(self, values: dict[str, Any], answer: AnswerSettings) -> str:
        """Its answer with the label that the step suggests; empty where none is. values: {label: its value in an
        answer}.
        """
        label = self.evidence.get("suggested")
        if label not in values:
            return ""
        old = parse(self.texts["answer"]) if answer.label else None
        return str(label) if old is None else json.dumps({**old, answer.label: values[label]}, ensure_ascii=False)


@dataclass(frozen=True)
class Labels:
    """Of the curated rows: counts by label, and {label: the value that stands for it in an answer}; empty without
    labels.
    """

    counts: Counter[str]
    values: dict[str, Any]
    rows: int

    def gain(self, label: str | None) -> float:
        known = self.counts.get(label, 0) if label else self.rows / max(len(self.counts), 1)
        return 1 / (1 + known)


def labels_of(curated: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> Labels:
    if not answer.label and not kind.answer_is_label:
        return Labels(Counter(), {}, curated.height)
    answers = prompts(curated).group_by("answer").len().sort("answer").iter_rows()
    counts: Counter[str] = Counter()
    values: dict[str, Any] = {}
    for text, rows in answers:
        if label := label_of(text, answer):
            counts[label] += rows
            values[label] = (parse(text) or {})[answer.label] if answer.label else text
    return Labels(counts, values, curated.height)


def in_order(
    held: Sequence[Held], curated: Labels, answer: AnswerSettings, per_minute: int, deciding: float
) -> list[list[Held]]:
    """The cases, what gains the most per minute first; in a case and among equals by row_id."""

    def worth(case: list[Held]) -> tuple[float, str]:
        gain = sum(curated.gain(_label(row, curated, answer)) for row in case)
        return -gain / max(sum(seconds_of(case, per_minute, deciding)), 1e-9), case[0].row_id

    return sorted(_cases(held), key=worth)


def seconds_of(case: Sequence[Held], per_minute: int, deciding: float) -> list[float]:
    """Time that each row of a case takes; a text that an earlier row has shown need not be read again."""
    seen: set[str] = set()
    seconds = []
    for row in case:
        texts = {*row.texts.values(), *row.beside.split("\n")} - seen
        seen |= texts
        seconds.append(deciding + 60 * sum(len(words(text)) for text in texts) / per_minute)
    return seconds


def _label(row: Held, curated: Labels, answer: AnswerSettings) -> str | None:
    """What it is likely to teach once it is decided: the suggested label, else its own; None for one that nobody may
    give.
    """
    label = row.evidence.get("suggested") or label_of(row.texts["answer"], answer)
    listed = answer.json_schema.get("properties", {}).get(answer.label, {}).get("enum")
    allowed = curated.counts if listed is None else [str(value) for value in listed]
    return str(label) if label and curated.counts and label in allowed else None


def _cases(held: Sequence[Held]) -> list[list[Held]]:
    """Rows connected by naming each other (union-find with path halving), each case sorted by row_id."""
    parent = {row.row_id: row.row_id for row in held}

    def root(row_id: str) -> str:
        while parent[row_id] != row_id:
            parent[row_id] = parent[parent[row_id]]
            row_id = parent[row_id]
        return row_id

    for row in held:
        for other in row.others:
            if other in parent:
                first, second = sorted((root(row.row_id), root(other)))
                parent[second] = first
    cases: dict[str, list[Held]] = {}
    for row in sorted(held, key=lambda row: row.row_id):
        cases.setdefault(root(row.row_id), []).append(row)
    return list(cases.values())
