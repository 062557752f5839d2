"""What a report shows of rows that are probably wrong: contradictions side by side, and labels beside the likelier
ones.

Found by what the ledger says of rows, whatever the step is called: evidence with a `partner` is a contradiction,
evidence with JUDGED is a doubted label. Which are shown follows from the evidence and row ids alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.core.handle import LEDGER, Handle
from tasks.core.text.display import impersonal, short
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.reporting.ledger_in_words import is_row
from tasks.reporting.review_sheet import cells
from tasks.reporting.row_examples import redacted_at, texts_of

JUDGED = {"given", "suggested", "self_confidence", "confidence"}
Entry = tuple[dict[str, Any], dict[str, Any]]  # of the ledger, and its evidence


@dataclass(frozen=True)
class Side:
    """One of two rows that contradict each other. label: empty without labels."""

    row_id: str
    prompt: str
    label: str
    answer: str


@dataclass(frozen=True)
class Contradiction:
    """Two rows. same: they ask the very same. votes: (label, votes) of all rows that ask the same, most first."""

    same: bool
    jaccard: float
    votes: list[tuple[str, int]]
    sides: tuple[Side, Side]


@dataclass(frozen=True)
class Doubt:
    """A row whose label is probably wrong. likely: of the given and of the suggested label, by a classifier."""

    row_id: str
    prompt: str
    given: str
    suggested: str
    likely: tuple[float, float]


@dataclass(frozen=True)
class Found:
    """rows: how many the ledger names. done: how many of them by action (kept, changed, dropped, quarantined). shown: a
    few. accuracy: of the classifier that doubts labels; 0 where the ledger does not have it.
    """

    rows: int
    done: list[tuple[str, int]]
    shown: Sequence[Any]
    accuracy: float = 0.0


def contradictions(steps: Sequence[Handle], answer: AnswerSettings, shown: int, limit: int) -> Found:
    """Pairs of rows that contradict each other, those with most votes first, each row in one pair only."""
    found = list(_entries(steps, "partner", lambda about: is_row(about["partner"])))
    told: list[Contradiction] = []
    seen: set[str] = set()
    for place, (entry, about) in sorted(
        found, key=lambda one: (-sum(n for _, n in _votes(one[1][1])), one[1][0]["row_id"])
    ):
        pair = (entry["row_id"], about["partner"])
        if len(told) == shown or not seen.isdisjoint(pair) or not place:
            continue
        texts = _safe(steps, place, texts_of(steps[place - 1], list(pair)))
        if len(texts) == 2:
            seen |= set(pair)
            told.append(_contradiction(pair, about, texts, answer, limit))
    return Found(len(found), _done(found), told)


def doubted_labels(steps: Sequence[Handle], shown: int, limit: int) -> Found:
    """Rows whose label is probably wrong, the surest first."""
    found = list(_entries(steps, "suggested", lambda about: about.keys() >= JUDGED))
    found.sort(key=lambda one: (one[1][1].get("rank", 0), one[1][0]["row_id"]))
    told = []
    for place, (entry, about) in found[:shown]:
        texts = _safe(steps, place, texts_of(steps[max(place - 1, 0)], [entry["row_id"]]))
        prompt, _ = cells(texts.get(entry["row_id"], []))
        likely = (float(about["self_confidence"]), float(about["confidence"]))
        told.append(Doubt(entry["row_id"], short(prompt, limit), str(about["given"]), str(about["suggested"]), likely))
    accuracy = float(found[0][1][1].get("accuracy", 0.0)) if found else 0.0
    return Found(len(found), _done(found), told, accuracy)


def _entries(steps: Sequence[Handle], name: str, fits: Callable[[dict[str, Any]], bool]) -> Iterator[tuple[int, Entry]]:
    """(place of the step, entry and evidence) of every entry whose evidence has `name`, and fits."""
    for place, step in enumerate(steps):
        named = pl.col("evidence").str.json_path_match(f"$.{name}").is_not_null()
        entries = step.frame(LEDGER).with_columns(pl.col("action").cast(pl.String)).filter(named)
        for entry in entries.iter_rows(named=True):
            if fits(about := json.loads(entry["evidence"])):
                yield place, (entry, about)


def _votes(about: Mapping[str, Any]) -> list[tuple[str, int]]:
    votes = [vote for vote in about.get("labels", []) if isinstance(vote, dict) and vote.keys() >= {"label", "votes"}]
    return [(str(vote["label"]), int(vote["votes"])) for vote in votes]


def _done(found: Sequence[tuple[int, Entry]]) -> list[tuple[str, int]]:
    actions = [entry["action"] for _, (entry, _) in found]
    return [
        (action, actions.count(action)) for action in ("quarantined", "dropped", "changed", "kept") if action in actions
    ]


def _safe(steps: Sequence[Handle], place: int, texts: dict[str, Any]) -> dict[str, Any]:
    """The texts, without addresses and long numbers where redact has not been."""
    if place > redacted_at(steps):
        return texts
    return {
        row_id: [{**turn, "content": impersonal(turn["content"])} for turn in turns] for row_id, turns in texts.items()
    }


def _contradiction(
    ids: tuple[str, str], about: Mapping[str, Any], texts: Mapping[str, Any], answer: AnswerSettings, limit: int
) -> Contradiction:
    (asked, said), (other_asked, other_said) = (cells(texts[row_id]) for row_id in ids)
    same = asked.casefold().split() == other_asked.casefold().split()
    labels = [(label_of(text, answer) or "") if answer.label else "" for text in (said, other_said)]
    sides = (
        Side(ids[0], short(asked, limit), labels[0], short(said, limit)),
        Side(ids[1], short(other_asked, limit), labels[1], short(other_said, limit)),
    )
    return Contradiction(same, float(about.get("jaccard", 1.0)), _votes(about), sides)
