"""`assay why ROW_ID`: one row's story in words, from the file it came from to where it ended, with the rows that
decided it.

    print(tell(why("3f2ab4")))                   # in the newest dataset that knows the row; the first digits are enough
    print(tell(why("3f2ab4", "crimson-otter")))  # in the dataset of a run (flows/run/dataset_history.py)

Texts are shown as redact left them. Of a row that went before redact came to it, no text is shown.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field

import polars as pl

from flows.run.dataset_history import STEP, find_dataset, folders
from tasks.core.errors import DataError
from tasks.core.handle import LEDGER, ROWS, Handle
from tasks.core.home import home
from tasks.core.ledger import GONE
from tasks.core.text.display import short, visible
from tasks.facts.dataset import ClosedStep, DatasetFacts
from tasks.reporting.ledger_in_words import in_words, rows_named
from tasks.reporting.row_examples import REDACT, texts_of

SHOWN = 400  # characters of a message: enough to know the row by
DIGITS = 12  # of a row_id, as the report shows them
CANDIDATES = 5
Turns = list[tuple[str, str]]  # role, content
COLUMN = 14  # characters of a step's name
WIDTH = 96
INDENT = " " * (COLUMN + 3)
MENDED = "A person may {how} it: it is in the review sheet of this dataset."


@dataclass(frozen=True)
class Other:
    """A row that evidence names. what: it is to this one. ended: where it ended itself."""

    row_id: str
    what: str
    where: str
    ended: str
    turns: Turns


@dataclass(frozen=True)
class Event:
    """What one step did to the row: action (passed, changed, kept, dropped, quarantined), and says, why."""

    step: str
    action: str
    says: str = ""
    others: tuple[Other, ...] = ()


@dataclass(frozen=True)
class Story:
    """turns: what the row says now, or said last; empty where no text may be shown, and then `silent` says why."""

    row_id: str
    where: str
    dataset: str
    events: list[Event]
    turns: Turns = field(default_factory=list)
    silent: str = ""


def why(row_id: str, dataset: str = "") -> Story:
    """The story of the row whose id begins with `row_id`. dataset: any name of one; else the newest that has the row.

    Raises DataError when no row or several begin so.
    """
    prefix = row_id.strip().lower()
    names = [dataset] if dataset else [str(folder) for folder in folders()] or ["newest"]
    for name in names:
        handle = find_dataset(name)
        if entries := _entries(handle, prefix):
            return _story(handle, entries)
    where = f"dataset {dataset}" if dataset else f"{len(names)} dataset(s) in {home()}"
    raise DataError(
        f"No row begins with {row_id!r}.",
        where=where,
        allowed="the first digits of a row_id, as the ledger, the report and the review sheet have them",
        todo="check the digits, or name another dataset or home (ASSAY_HOME)",
    )


def tell(story: Story) -> str:
    """The story as lines of text."""
    lines = [f"row {story.row_id}", f"  from {story.where}; dataset {story.dataset}", ""]
    for event in story.events:
        lines += _filled(event.step, f"{event.action}: {event.says}" if event.says else event.action)
        for other in event.others:
            lines += _filled("", f"{other.what} ({other.row_id[:DIGITS]}, {other.where}, {other.ended}):")
            lines += [f"  {line}" for line in _said(other.turns)]
    ended = story.events[-1].action
    how = "mend" if story.events[-1].step == "ingest" else "mend or keep"  # no text yet that could be kept
    lines += ["", "  it says" if ended == "kept" else "  it said", *(_said(story.turns) or [f"{INDENT}{story.silent}"])]
    return "\n".join([*lines, *(["", f"  {MENDED.format(how=how)}"] if ended == "quarantined" else [])])


def _filled(name: str, text: str) -> list[str]:
    """`text` beside a step's name, on lines that are read without scrolling."""
    lines = textwrap.wrap(visible(text), WIDTH) or [""]
    return [f"  {name if i == 0 else '':<{COLUMN}} {line}" for i, line in enumerate(lines)]


def _said(turns: Turns) -> list[str]:
    shown = [f"{role}: {visible(short(content, SHOWN)) or '(empty)'}" for role, content in turns]
    parts = [part for text in shown for part in text.split("\n")]
    return [f"{INDENT}{line}" for part in parts for line in textwrap.wrap(part, WIDTH, subsequent_indent="  ") or [""]]


# ---------------------------------------------------------------- from the books


def _entries(dataset: Handle, prefix: str) -> list[dict[str, str]]:
    ledger = pl.scan_parquet(dataset.folder / LEDGER)
    found = (
        ledger.filter(pl.col("row_id").str.starts_with(prefix)).with_columns(pl.col("action").cast(pl.String)).collect()
    )
    ids = found["row_id"].unique().sort().to_list()
    if len(ids) > 1:
        named = ", ".join(row_id[: max(DIGITS, len(prefix) + 4)] for row_id in ids[:CANDIDATES])
        raise DataError(
            f"{len(ids):,} rows begin with {prefix!r}.",
            where=f"dataset {dataset.folder.name}",
            allowed=f"digits that only one row has: {named}{' ...' if len(ids) > CANDIDATES else ''}",
            todo="give more digits",
        )
    return found.to_dicts()


def _story(dataset: Handle, entries: list[dict[str, str]]) -> Story:
    steps = _steps(dataset)
    order = {step.step: place for place, step in enumerate(steps)}
    ordered = sorted(entries, key=lambda one: (order.get(one["step"], len(steps)), one["action"], one["reason"]))
    last = next((order[one["step"]] for one in ordered if one["action"] in GONE), len(steps))
    events = []
    for place, step in enumerate(steps[: last + 1]):
        told = [one for one in ordered if one["step"] == step.step]
        events += [_event(dataset, steps, place, one) for one in told] or [
            Event(step.step, "passed" if place else "read")
        ]
    events += [_event(dataset, steps, len(steps), one) for one in ordered if one["step"] not in order]
    turns, silent = _turns(steps, last, ordered[0]["row_id"])
    where = f"{ordered[0]['source']}, line {ordered[0]['line']}"
    return Story(ordered[0]["row_id"], where, dataset.folder.name, events, turns, silent)


def _steps(dataset: Handle) -> list[Handle]:
    """The row steps that the books were closed over; their artifacts may be gone, their names are not."""
    facts = DatasetFacts.of(dataset)
    closed = facts.steps or [ClosedStep(step=one.step, digest="") for one in facts.waterfall]
    return [
        Handle(step=one.step, kind="rows", path=f"artifacts/{one.step}/{one.digest[:16]}", digest=one.digest)
        for one in closed
    ]


def _event(dataset: Handle, steps: list[Handle], place: int, one: dict[str, str]) -> Event:
    evidence = json.loads(one["evidence"])
    more = in_words(evidence)
    named = rows_named({**evidence, **evidence.get("found", {})})
    texts = _texts(steps, place - 1, list(named)) if named else {}
    others = tuple(_other(dataset, row_id, what, texts.get(row_id, [])) for row_id, what in named.items())
    return Event(one["step"], one["action"], f"{one['reason']}: {more}" if more else one["reason"], others)


def _other(dataset: Handle, row_id: str, what: str, turns: Turns) -> Other:
    ledger = pl.scan_parquet(dataset.folder / LEDGER).filter(pl.col("row_id") == row_id)
    ends = ledger.filter((pl.col("step") == STEP) | pl.col("action").is_in(GONE)).collect()
    if ends.is_empty():
        return Other(row_id, what, "of the holdout or another set", "not a training row", turns)
    end = ends.row(0, named=True)
    ended = "kept" if end["action"] == "kept" else f"{end['action']} by {end['step']}: {end['reason']}"
    return Other(row_id, what, f"{end['source']}, line {end['line']}", ended, turns)


def _turns(steps: list[Handle], last: int, row_id: str) -> tuple[Turns, str]:
    """What the row says after the last step that it came through, if that may be shown."""
    if last <= _redact(steps):
        return [], "(not shown, as redact has not seen it)"
    turns = _texts(steps, last - 1, [row_id]).get(row_id)
    return (turns, "") if turns else ([], "(not shown, as the artifact that holds it is no longer in this home)")


def _texts(steps: list[Handle], place: int, ids: list[str]) -> dict[str, Turns]:
    """What rows say after the step at `place`; nothing where redact has not been, or where the artifact is gone."""
    if not _redact(steps) <= place < len(steps) or not (steps[place].folder / ROWS).is_file():
        return {}
    found = texts_of(steps[place], ids)
    return {row_id: [(turn["role"], turn["content"]) for turn in turns] for row_id, turns in found.items()}


def _redact(steps: list[Handle]) -> int:
    return next((place for place, step in enumerate(steps) if step.step == REDACT), len(steps))
