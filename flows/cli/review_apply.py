"""`assay review apply`: a sheet that people filled in becomes decisions beside the recipe, which the next run honours.

Good lines are taken in, and lines with a mistake are named and left out: mend them and hand the sheet in again, since
what holds already is not taken in twice. What the recipe's redact would take out of an edit or a note is hidden before
it is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.cli.summary import command
from tasks.core.decisions import ROW_ID, Decision, EditedMessage, add_decisions
from tasks.core.errors import DataError, nearest
from tasks.core.process import terminal
from tasks.core.text.display import number_of
from tasks.core.text.strict_yaml import as_typed
from tasks.data.records import Record
from tasks.personal_data.finders import PersonalData
from tasks.personal_data.hiding import mask_personal_data
from tasks.reporting.review_sheet import CUT, TEXTS, check_of, conversation, plain, read_sheet

CHOICES = ("keep", "edit", "drop", "suggested")
NAMED = 12  # mistakes, and lines of each, that are told one by one
REVIEWER_CHARACTERS = 100


@dataclass(frozen=True)
class Mistake:
    """One line of a sheet that was not taken in. line: as a spreadsheet numbers it."""

    line: int
    what: str


@dataclass(frozen=True)
class Applied:
    """What became of a sheet's lines. taken: new decisions. known: held already. open: without a decision."""

    file: Path
    taken: list[Decision]
    known: int
    open: int
    mistakes: list[Mistake]


class _WrongError(ValueError):
    """What is wrong with a line, as a sentence without its full stop."""


def apply(sheet: Path, reviewer: str, file: Path, personal: PersonalData) -> Applied:
    """Take in the decisions of a sheet, CSV or JSONL. file: where decisions are kept. personal: the recipe's redact.

    Raises DataError for a sheet that cannot be read as a whole, and for a reviewer without a name.
    """
    name = " ".join(reviewer.split())
    if not name or len(name) > REVIEWER_CHARACTERS or not name.isprintable():
        allowed = f"a name of at most {REVIEWER_CHARACTERS} letters"
        raise DataError(f"{reviewer!r} is no name of a reviewer.", where="--reviewer", allowed=allowed)
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    good: dict[str, tuple[int, Decision]] = {}
    mistakes: list[Mistake] = []
    undecided = lines = 0
    for record in read_sheet(sheet):
        lines += 1
        try:
            decision = _decision(record, name, at, personal)
        except _WrongError as error:
            mistakes.append(Mistake(record.line, str(error)))
            continue
        if decision is None:
            undecided += 1
        elif (twin := good.get(decision.row_id)) and not _same(twin[1], decision):
            mistakes.append(
                Mistake(record.line, f"the same row as line {twin[0]}, which decides otherwise and was taken in")
            )
        else:
            good.setdefault(decision.row_id, (record.line, decision))
    if not lines:
        raise DataError(
            "The sheet holds no row.", where=as_typed(sheet), allowed="a review sheet, CSV or JSONL, that a run wrote"
        )
    taken = add_decisions(file, [decision for _, decision in good.values()])
    return Applied(file, taken, len(good) - len(taken), undecided, mistakes)


def print_applied(applied: Applied, recipe: str) -> None:
    """Say what was taken in, and what to do next. Raises DataError, naming the lines, when some were not."""
    counts: Counter[str] = Counter(decision.decision for decision in applied.taken)
    parts = [f"{counts[kind]:,} to {kind}" for kind in CHOICES if counts[kind]]
    line = number_of(len(applied.taken), "decision") + " taken in" + (f": {', '.join(parts)}" if parts else "")
    more = [f"{applied.known:,} held already"] * bool(applied.known) + [f"{applied.open:,} still open"] * bool(
        applied.open
    )
    console = terminal.console()
    console.print(f"  [bold]{'review':<11}[/]{line}" + "".join(f"; {text}" for text in more), highlight=False)
    console.print(f"  [bold]{'kept in':<11}[/]{as_typed(applied.file)}", highlight=False)
    if applied.mistakes:
        raise _refusal(applied)
    console.print(f"  [bold]{'next':<11}[/]{command('assay')} curate {recipe}", highlight=False)


def _refusal(applied: Applied) -> DataError:
    """Names every kind of mistake once, with its lines."""
    lines: dict[str, list[int]] = {}
    for mistake in applied.mistakes:
        lines.setdefault(mistake.what, []).append(mistake.line)
    shown = [f"\n    line{'s' * (len(at) > 1)} {_listed(at)}: {what}" for what, at in list(lines.items())[:NAMED]]
    shown += [f"\n    and {len(lines) - NAMED:,} other mistakes"] * (len(lines) > NAMED)
    return DataError(
        f"{number_of(len(applied.mistakes), 'line')} not taken in; the others are.",
        where="the sheet" + "".join(shown),
        allowed=f"decision: {', '.join(CHOICES)}, or nothing",
        todo="mend these lines and apply the sheet again",
    )


def _listed(lines: list[int]) -> str:
    rest = len(lines) - NAMED
    return ", ".join(map(str, lines[:NAMED])) + (f" and {rest:,} more" if rest > 0 else "")


# ---------------------------------------------------------------- one line


def _decision(record: Record, reviewer: str, at: str, personal: PersonalData) -> Decision | None:
    """What a line decides; None where it leaves the row open. Raises _WrongError."""
    if record.value is None:
        raise _WrongError(record.reason)
    value = {str(key).strip().lower(): plain(cell) for key, cell in record.value.items()}
    said = value.get("decision", "").strip().lower()
    row_id, check = value.get("row_id", "").strip(), value.get("check", "").strip()
    _check_row(row_id, check, value)
    touched = (
        bool(check) and check != check_of(row_id, value) and not any(CUT.search(value.get(name, "")) for name in TEXTS)
    )
    if not said:
        if touched:
            raise _WrongError("the text was changed, but decision is empty; write edit, or drop")
        return None
    _check_choice(said, value)
    if said == "keep" and touched:
        raise _WrongError("the text was changed, so it cannot be kept as it is; write edit, or put the text back")
    if said == "edit" and check and not touched:
        raise _WrongError("nothing was changed; write keep, or change prompt or answer" + _cut(value))
    kind = "edit" if said == "suggested" else said
    note = " ".join(value.get("note", "").split())
    about = {"row_id": row_id, "decision": kind, "step": value.get("step", ""), "reason": value.get("reason", "")}
    new = (
        _texts({**value, **({"answer": value["suggestion"]} if said == "suggested" else {})}) if kind == "edit" else {}
    )
    return _safe(Decision.model_validate({**about, **new, "note": note, "reviewer": reviewer, "at": at}), personal)


def _check_row(row_id: str, check: str, value: Mapping[str, str]) -> None:
    if "decision" not in value or "row_id" not in value:
        missing = " and ".join(name for name in ("decision", "row_id") if name not in value)
        raise _WrongError(f"it has no column {missing}; keep the sheet's columns")
    if not re.match(ROW_ID, row_id):
        raise _WrongError(f"row_id is {row_id[:20]!r}, where 64 digits and letters a to f should stand")
    if check and check[:8] != check_of(row_id, {})[:8]:
        raise _WrongError("row_id and check are of different rows; were some columns sorted without the others?")


def _check_choice(said: str, value: Mapping[str, str]) -> None:
    choices = [word.strip() for word in value.get("choices", "").split(",") if word.strip()] or list(CHOICES)
    if said not in CHOICES:
        raise _WrongError(f"decision is {said[:20]!r}; allowed: {', '.join(choices)}. {nearest(said, choices)}".strip())
    if said not in choices or (said == "suggested" and not value.get("suggestion")):
        raise _WrongError(f"{said} does not fit this row; allowed: {', '.join(c for c in choices if c != said)}")


def _cut(value: Mapping[str, str]) -> str:
    return (
        "; a text this long is edited in the JSONL file"
        if any(CUT.search(value.get(name, "")) for name in TEXTS)
        else ""
    )


def _texts(value: Mapping[str, str]) -> dict[str, Any]:
    """messages and rejected of an edited row."""
    if cut := _cut(value):
        raise _WrongError(cut.removeprefix("; "))
    messages = conversation(value.get("prompt", ""), value.get("answer", ""))
    if not any(said["role"] == "user" and said["content"].strip() for said in messages):
        raise _WrongError("prompt is empty")
    if messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise _WrongError("answer is empty")
    return {"messages": messages, "rejected": value.get("rejected") or None}


def _safe(decision: Decision, personal: PersonalData) -> Decision:
    texts = [decision.note, decision.rejected or "", *(said.content for said in decision.messages)]
    safe = mask_personal_data(texts, personal)
    return decision.model_copy(
        update={
            "note": safe[decision.note],
            "rejected": decision.rejected and safe[decision.rejected],
            "messages": tuple(EditedMessage(role=said.role, content=safe[said.content]) for said in decision.messages),
        }
    )


def _same(one: Decision, other: Decision) -> bool:
    return (one.decision, one.messages, one.rejected) == (other.decision, other.messages, other.rejected)
