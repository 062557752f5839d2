"""Decisions: what people said of quarantined rows, one JSON object a line, only ever added to, beside the recipe.

    {"row_id": "...", "decision": "keep", "step": "conflicts", "reason": "...", "reviewer": "Ada",
     "at": "2026-11-24T10:00:00Z"}

keep  the row stays as it is, against the doubt of the step that asked, and of that step only: no other was looked at.
edit  its messages (and rejected) are replaced as soon as it is read. The new text is judged anew by every step.
drop  it goes as soon as it is read.
A later decision on a row replaces an earlier one; keeps against several steps add up, until the text is edited again.
Row ids are digests of content, so decisions hold for every export with the same row in it, in whatever file and line.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
from filelock import FileLock
from pydantic import Field, ValidationError

from tasks.core.errors import DataError
from tasks.core.home import digest_bytes, home_folder
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.row import ROW_SCHEMA, content_json
from tasks.core.settings import Settings

KEPT, EDITED, DROPPED, MENDED = (
    "kept by a reviewer",
    "edited by a reviewer",
    "dropped by a reviewer",
    "mended by a reviewer",
)
BY_REVIEWERS = (KEPT, EDITED, DROPPED, MENDED)
ROW_ID = r"^[0-9a-f]{64}$"


class EditedMessage(Settings):
    """One message of an edited row."""

    role: Literal["system", "user", "assistant"]
    content: str


class Decision(Settings):
    """What one person said of one row. step, reason: what the row was held back for. messages: of
    an edit, all of them.
    """

    row_id: str = Field(pattern=ROW_ID)
    decision: Literal["keep", "drop", "edit"]
    step: str = ""
    reason: str = ""
    messages: tuple[EditedMessage, ...] = ()
    rejected: str | None = None
    note: str = ""
    reviewer: str = Field(min_length=1)
    at: str = Field(min_length=1)  # ISO 8601, UTC

    @property
    def evidence(self) -> dict[str, str]:
        """What the ledger says of it; the note is free of personal data since it was taken in."""
        told = {"reviewer": self.reviewer, "at": self.at, "note": self.note, "asked": self.step, "was": self.reason}
        return {name: value for name, value in told.items() if value}


@dataclass
class Standing:
    """What holds for one row after all that was said of it.

    change: its last drop or edit. keeps: by the step that asked. asked: every step that ever did.
    """

    change: Decision | None = None
    keeps: dict[str, Decision] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def take(self, decision: Decision) -> None:
        self.asked.add(decision.step)
        if decision.decision == "keep":
            self.change = None if self.change and self.change.decision == "drop" else self.change
            self.keeps[decision.step] = decision
        else:
            self.change, self.keeps = decision, {}

    @property
    def says(self) -> tuple[Any, ...]:
        """All of it but who said it and when: equal where another decision would change nothing."""
        change = self.change and (self.change.decision, self.change.messages, self.change.rejected)
        return change, sorted(self.keeps)


class Decisions(Settings):
    """Decisions in the order they were made. As the input of a step they are part of its cache key, word for word."""

    made: tuple[Decision, ...] = ()

    def standing(self) -> dict[str, Standing]:
        """What holds now, by row_id."""
        rows: dict[str, Standing] = {}
        for decision in self.made:
            rows.setdefault(decision.row_id, Standing()).take(decision)
        return rows

    @property
    def changes(self) -> Decisions:
        """The edits and drops that hold, whatever step asked."""
        return Decisions(made=tuple(row.change for _, row in sorted(self.standing().items()) if row.change))

    def asked_by(self, step: str) -> Decisions:
        """What holds of the rows that `step` has asked about; other rows are no part of this step's cache key."""
        rows = [row for _, row in sorted(self.standing().items())]
        changes = (row.change for row in rows if row.change and step in row.asked)
        return Decisions(made=(*changes, *(row.keeps[step] for row in rows if step in row.keeps)))


# ---------------------------------------------------------------- the file


def read_decisions(file: Path) -> Decisions:
    """The decisions in `file`; none if there is no such file. Raises DataError naming the line that is none."""
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []  # splitlines also splits at U+2028
    return Decisions(made=tuple(_decision(file, number, line) for number, line in enumerate(lines, 1) if line.strip()))


def _decision(file: Path, number: int, line: str) -> Decision:
    try:
        return Decision.model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"A line of {file.name} is no decision: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}.",
            where=f"{file}, line {number}",
            allowed=f"one JSON object with {', '.join(Decision.model_fields)}",
            todo="mend or remove this line; `assay review apply` writes them whole, so it was edited or cut off",
        ) from None


def add_decisions(file: Path, new: Sequence[Decision]) -> list[Decision]:
    """Add the decisions to `file` that change something, and return them: what holds already is not said twice.

    The file is replaced as a whole, under a lock, so that no reader and no kill finds half a line. Raises DataError
    when it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home_folder("scratch") / f"decisions-{digest_bytes(str(file.absolute()).encode())[:16]}.lock"):
            known, added = read_decisions(file).standing(), []
            for decision in new:
                row = known.setdefault(decision.row_id, Standing())
                before = row.says
                row.take(decision)
                added += [decision] if row.says != before else []
            if added:
                _replace(file, added)
    except OSError as error:
        raise DataError(
            f"The decisions cannot be written: {error.strerror}.",
            where=str(file),
            allowed="a folder this user may write",
            todo="copy the recipe and its data to a folder of your own and name that with --recipe",
        ) from error
    return added


def _replace(file: Path, added: Iterable[Decision]) -> None:
    before = file.read_bytes() if file.exists() else b""
    before += b"" if before.endswith(b"\n") or not before else b"\n"
    lines = "".join(decision.model_dump_json(exclude_defaults=True) + "\n" for decision in added)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".decisions-", delete=False) as place:
        place.write(before + lines.encode())
        place.flush()
        os.fsync(place.fileno())
    os.replace(place.name, file)


# ---------------------------------------------------------------- what a step made of rows, with people's word above it


def honoured(name: str, before: pl.DataFrame | None, outcome: Outcome, decisions: Decisions) -> Outcome:
    """The outcome of step `name`, with what people decided of the rows that it holds back.

    A row they keep is put back as it came into the step. Where nothing came in (before is None: ingest), a record they
    wrote anew becomes a row, and one they drop is dropped.
    """
    held = outcome.ledger.filter(pl.col("action") == "quarantined")
    said = {d.row_id: d for d in decisions.made if d.decision == "keep" or before is None}
    decided = [row for row in held.iter_rows(named=True) if row["row_id"] in said]
    if before is None:
        decided = [row for row in decided if said[row["row_id"]].decision != "keep"]  # no text yet that could be kept
    if not decided:
        return outcome
    ids = [row["row_id"] for row in decided]
    told = [_settled(row, said[row["row_id"]]) for row in decided]
    if before is None:
        back = pl.DataFrame(
            [new_row(row, said[row["row_id"]]) for row in decided if _mends(said[row["row_id"]])], ROW_SCHEMA
        )
    else:
        back = before.filter(pl.col("row_id").is_in(ids))
    rest = outcome.ledger.filter(~(pl.col("row_id").is_in(ids) & (pl.col("action") == "quarantined")))
    ledger = pl.concat([rest, entries(name, told)]).sort("row_id", "action", "reason", "evidence")
    raw = None if outcome.raw is None else outcome.raw.filter(~pl.col("row_id").is_in(ids))
    return Outcome(pl.concat([outcome.kept, back.select(outcome.kept.columns)]).sort("row_id"), ledger, raw)


def _mends(decision: Decision) -> bool:
    return decision.decision == "edit"


def _settled(row: dict[str, Any], decision: Decision) -> dict[str, Any]:
    found = {"was": row["reason"], "found": json.loads(row["evidence"])}
    if decision.decision == "keep":
        return entry(row, "kept", KEPT, **{**decision.evidence, **found})
    if _mends(decision):
        after = digest_bytes(content_json(new_row(row, decision)).encode())
        return entry(row, "changed", MENDED, after=after, **{**decision.evidence, **found})
    return entry(row, "dropped", DROPPED, **{**decision.evidence, **found})


def new_row(row: dict[str, Any], decision: Decision) -> dict[str, Any]:
    """`row` (row_id, source and line at least) as the edit wrote it.

    What was edited is all that is said: a sheet offers no edit of a row with tool calls. Weights stay where every
    message has one still; else only the last answer teaches, the one a person looked at.
    """
    messages = [said.model_dump() for said in decision.messages]
    weights = row.get("weights")
    if weights is not None and len(weights) != len(messages):
        weights = [*(0.0 for _ in messages[1:]), 1.0]
    rejected = row.get("rejected") if decision.rejected is None else decision.rejected
    given = {"row_id": row["row_id"], "source": row["source"], "line": row["line"], "meta": row.get("meta") or "{}"}
    return {**row, **given, "messages": messages, "rejected": rejected, "weights": weights, "calls": None}
