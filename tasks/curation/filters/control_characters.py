"""Characters that broken exports leave after cleaning has done what it can: control characters, which no keyboard types
and no reader sees, and the mark of one that was lost for good.
"""

from __future__ import annotations

import re
from collections import Counter

import polars as pl

from tasks.core.text.control_characters import CONTROL
from tasks.curation.filters.base import REJECTED, Filter, FilterContext, ReasonAndEvidence, Row

LOST = "\ufffd"  # what a decoder writes in the place of what it cannot read; U+FFFE and U+FFFF are no characters
_CONTROL = re.compile(f"[{CONTROL}\ufffd\ufffe\uffff]")
_CODES = 5  # different ones that the evidence names


def may_have_control_characters(context: FilterContext) -> pl.Series:
    return context.texts.filter(pl.col("text").str.contains(rf"[{CONTROL}\x{{fffd}}\x{{fffe}}\x{{ffff}}]"))["row"]


def has_control_characters(row: Row, _: FilterContext) -> ReasonAndEvidence | None:
    said = [*((n, m["content"] or "") for n, m in enumerate(row["messages"], 1)), (REJECTED, row["rejected"] or "")]
    for number, text in said:
        found = Counter(_CONTROL.findall(text))
        if set(found) == {LOST}:
            return "lost characters", {"message": number, "U+FFFD": found[LOST]}
        if found:
            codes = {f"U+{ord(character):04X}": times for character, times in sorted(found.items())[:_CODES]}
            return "control characters", {"message": number, "characters": codes}
    return None


RULE = Filter("control_characters", may_have_control_characters, has_control_characters, "quarantine")
