"""The kinds of rows, in one table: what steps ask of a kind, so that none of them asks for its name.

    from tasks.core.row_kind import KINDS, RowKind
    if kind.has_rejected: ...

How a row of each kind lies in a frame: tasks/core/ledger.py. A new kind is a line in the table and its name in
`KindName`. Nothing heavy is imported here, since the command line reads the table for its help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KindName = Literal["sft", "preference", "classification"]


@dataclass(frozen=True)
class RowKind:
    """A kind of rows, and what holds of every row of it.

    is_conversation: each of its answers teaches, but for those of weight 0; else it has one answer, the last message.
    has_rejected: beside that answer it has another one to the same prompt, which is worse.
    has_label: it may say which class it is of: in the field answer.label of its answer, or by the whole answer.
    answer_is_label: its answer is the name of a class, and no text that somebody wrote.
    compared_by: in what it must be like another row to repeat it: the prompt, or the pair of prompt and answers.
    """

    name: KindName
    is_conversation: bool = False
    has_rejected: bool = False
    has_label: bool = False
    answer_is_label: bool = False
    compared_by: Literal["prompt", "pair"] = "prompt"


SFT = RowKind("sft", is_conversation=True, has_label=True)
PREFERENCE = RowKind("preference", has_rejected=True, compared_by="pair")
CLASSIFICATION = RowKind("classification", has_label=True, answer_is_label=True)
KINDS: dict[str, RowKind] = {kind.name: kind for kind in (SFT, PREFERENCE, CLASSIFICATION)}
