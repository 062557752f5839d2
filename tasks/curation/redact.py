"""Redact: addresses, telephone, card, bank account and national numbers, secrets and listed names become placeholders.

`<EMAIL_1>`, `<PHONE_2>`: numbered inside a conversation, and the same value has the same placeholder throughout it, so
that who is meant stays clear. The originals are written nowhere: the ledger has counts by kind only. What is found and
how sure one is of it: tasks/personal_data/finders.py.

sft: every message, the arguments of tool calls, and meta. preference: the rejected answer too, with the placeholders of
its conversation. classification: text and label. Meta is redacted with them in every kind. Weights stay as they are.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Self

import polars as pl
from pydantic import ValidationError

from tasks.core.allowed_folders import check_inside
from tasks.core.batches import row_by_row
from tasks.core.ledger import Outcome, changed, entries
from tasks.core.personal_kinds import KINDS, Kind
from tasks.core.settings import MisfitError
from tasks.personal_data.finders import PersonalData, replaced, rewritten, suspects, texts_of


class RedactSettings(PersonalData):
    """What counts as personal data; every row is kept."""

    # More names, one a line of a text file beside the recipe: the recipe's text is registered with each model, and a
    # list of customers or of staff should not be. Reading the recipe adds them to `names` (fitted).
    names_file: str = ""

    def fitted(self, recipe: Any, folder: Path) -> Self:
        if not self.names_file:
            return self
        location, listed = ("names_file",), folder / self.names_file
        try:
            lines = check_inside(listed, "recipe: redact.names_file").read_text(encoding="utf-8-sig").splitlines()
            names = [*self.names, *filter(None, map(str.strip, lines))]
            return self.model_validate({**self.model_dump(), "names": names})
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{listed} cannot be read ({getattr(error, 'strerror', '') or 'no UTF-8 text'})"
            raise MisfitError(
                location, problem, todo="give the path of a text file from the recipe's folder"
            ) from error
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise MisfitError(location, f"{listed}: {problem}", todo="correct that line of the file") from error


@row_by_row()
def redact(rows: pl.DataFrame, settings: RedactSettings) -> Outcome:
    """Redact every row; all are kept."""
    new: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for row in rows.filter(suspects(rows, settings)).iter_rows(named=True):
        conversation = _Conversation(row, settings)
        redacted = rewritten(row, conversation.redact)
        if conversation.counts:
            new.append(redacted)
            told.append(changed(row, redacted, "personal data replaced", **conversation.counts))
    replaced = pl.DataFrame(new, schema=rows.schema)
    untouched = rows.join(replaced.select("row_id"), on="row_id", how="anti")
    return Outcome(pl.concat([untouched, replaced]).sort("row_id"), entries("redact", told))


class _Conversation:
    """The placeholders of one row, numbered above any that are in its text already: two values never share one."""

    def __init__(self, row: dict[str, Any], settings: PersonalData) -> None:
        self._settings = settings
        self._names: dict[tuple[Kind, str], str] = {}
        self._whole = texts_of(row)
        self._last: Counter[str] = Counter()
        for kind, number in re.findall(r"<([A-Z]{1,10})_(\d{1,6})>", self._whole):
            self._last[kind] = max(self._last[kind], int(number))
        self.counts: Counter[str] = Counter()

    def redact(self, text: str, before: str) -> str:
        new = replaced(text, self._settings, self._name, before, self._whole)
        return new if new == text else _still_json(text, new)

    def _name(self, kind: Kind, value: str) -> str:
        self.counts[kind] += 1
        if (kind, value) not in self._names:
            self._last[kind.upper()] += 1
            self._names[kind, value] = f"<{kind.upper()}_{self._last[kind.upper()]}>"
        return self._names[kind, value]


_BARE = re.compile(rf"(?<=[:\[,\s])<(?:{'|'.join(kind.upper() for kind in KINDS)})_\d+>(?=\s*[,}}\]])")


def _still_json(before: str, after: str) -> str:
    """`after`, with a placeholder that took a bare number's place in JSON in quotation marks, so that it is read as
    before.
    """
    if not before.lstrip().startswith(("{", "[")) or not _is_json(before) or _is_json(after):
        return after
    return _BARE.sub(lambda found: f'"{found[0]}"', after)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
