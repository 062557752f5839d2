"""Redact: e-mail addresses, telephone, card and bank account numbers become placeholders such as <EMAIL_1>.

Placeholders are numbered inside a conversation, and the same value has the same placeholder throughout it, so that
who is meant stays clear. Meta is redacted with the messages. The originals are written nowhere: the ledger has counts
by kind only. Polars finds the rows that could hold one; a number counts only when its checksum or numbering plan says
so, which is why an order number such as HP-48213 stays.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import polars as pl

from tasks.core.ledger import Outcome, changed, entries
from tasks.core.personal_data import FINDERS, KINDS, Kind, PersonalData, apart, suspect


class RedactSettings(PersonalData):
    """What counts as personal data."""


def redact(rows: pl.DataFrame, settings: RedactSettings) -> Outcome:
    """kept: every row, redacted. Nothing is dropped."""
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n", ignore_nulls=True)
    suspects = rows.filter(suspect(contents) | suspect(pl.col("meta")))
    new: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for row in suspects.iter_rows(named=True):
        conversation = _Conversation(row, settings)
        messages = [{"role": m["role"], "content": conversation.redact(m["content"] or "")} for m in row["messages"]]
        meta = json.dumps(conversation.redact_json(json.loads(row["meta"])), ensure_ascii=False, sort_keys=True)
        if conversation.counts:
            new.append({**row, "messages": messages, "meta": meta})
            told.append(changed(row, new[-1], "personal data replaced", **conversation.counts))
    replaced = pl.DataFrame(new, schema=rows.schema)
    untouched = rows.join(replaced.select("row_id"), on="row_id", how="anti")
    return Outcome(pl.concat([untouched, replaced]).sort("row_id"), entries("redact", told))


class _Conversation:
    """The placeholders of one row, numbered above any that are in its text already: two values never share one."""

    def __init__(self, row: dict[str, Any], settings: RedactSettings) -> None:
        self._settings = settings
        self._names: dict[tuple[Kind, str], str] = {}
        whole = "\n".join(m["content"] or "" for m in row["messages"]) + row["meta"]
        self._last = {kind: max(map(int, re.findall(rf"<{kind.upper()}_(\d{{1,6}})>", whole)), default=0) for kind in KINDS}
        self.counts: Counter[str] = Counter()

    def redact(self, text: str) -> str:
        """Kind by kind, each until none is found: two numbers with a blank between them are found one after the other."""
        for kind in KINDS:
            while kind in self._settings.kinds and (spans := apart(FINDERS[kind](text, self._settings))):
                names = [self._name(kind, value) for _, _, value in spans]
                for (start, end, _), name in zip(reversed(spans), reversed(names), strict=True):
                    text = text[:start] + name + text[end:]
        return text

    def redact_json(self, value: Any) -> Any:
        """Every text and number inside a JSON value; a number that is redacted becomes a text."""
        if isinstance(value, dict):
            return {key: self.redact_json(v) for key, v in value.items()}
        if isinstance(value, list):
            return [self.redact_json(v) for v in value]
        if isinstance(value, bool) or not isinstance(value, str | int):
            return value
        redacted = self.redact(str(value))
        return value if redacted == str(value) else redacted

    def _name(self, kind: Kind, value: str) -> str:
        self.counts[kind] += 1
        if (kind, value) not in self._names:
            self._last[kind] += 1
            self._names[kind, value] = f"<{kind.upper()}_{self._last[kind]}>"
        return self._names[kind, value]
