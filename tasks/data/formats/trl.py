"""TRL: JSONL of {messages, tools}, arguments of calls as values, which chat templates want; pairs as lists of messages.

It is only written: what TRL reads is recognised as openai, or as prompt_completion.
"""

from __future__ import annotations

from tasks.core.row import turns, with_arguments
from tasks.core.row_kind import RowKind
from tasks.data.formats.base import Format, Record, Row, Writer
from tasks.data.formats.writing import assistant, offered_tools, write_jsonl


def _record(row: Row, kind: RowKind) -> Record:
    if kind.has_rejected:
        return pair_of_lists(row)
    return {"messages": [with_arguments(said) for said in turns(row)], **offered_tools(row)}


def pair_of_lists(row: Row) -> Record:
    """{prompt, chosen, rejected} of a preference row, each a list of messages."""
    *prompt, chosen = row["messages"]
    return {"prompt": prompt, "chosen": [chosen], "rejected": [assistant(row["rejected"])]}


FORMAT = Format("trl", writer=Writer(_record, write_jsonl))
