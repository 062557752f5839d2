"""conflicts: hold back rows that ask the same and answer differently; one side may stay, a person sees the rest.

    classification  the same or nearly the same text with another label
    sft             with a label (answer.label) the same or nearly the same prompt with another label. Without one
                    only the very same prompt with another verdict, or another fact in an answer worded alike
    preference      the same or nearly the same prompt and the same two answers, preferred the other way round; and
                    pairs whose chosen answer is the rejected one

When two rows contradict each other and who is right: tasks/relations/contradictions.py.
"""

from __future__ import annotations

import polars as pl

from tasks.core.ledger import Outcome, entries, entry
from tasks.core.row_kind import SFT, RowKind
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.contradictions import ContradictionSettings, contradicting


class ConflictSettings(ContradictionSettings):
    """When two rows contradict each other, and what becomes of them."""


def conflicts(rows: pl.DataFrame, settings: ConflictSettings, answer: AnswerSettings, kind: RowKind = SFT) -> Outcome:
    """Hold back the rows that a contradiction does not clear.

    kind: sft if it is not given. Evidence of each: see `contradicting`.
    """
    if settings.policy == "off":
        return Outcome(rows, entries("conflicts", []))
    found = contradicting(rows, settings, answer, kind)
    action = "dropped" if settings.policy == "drop" else "quarantined"
    gone = pl.col("row_id").is_in(list(found))
    lost = rows.filter(gone).select("row_id", "source", "line").iter_rows(named=True)
    told = [entry(row, action, found[row["row_id"]][0], **found[row["row_id"]][1]) for row in lost]
    return Outcome(rows.filter(~gone), entries("conflicts", told))
