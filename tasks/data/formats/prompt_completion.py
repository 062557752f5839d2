"""Two columns, a question and its answer, under the usual names; pairs with chosen and rejected (TRL).

A prompt and a completion may each be a list of messages (TRL's conversational form), and chosen and rejected two whole
conversations.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.data.formats.base import Format, Record, Shape, Shaped
from tasks.data.formats.conversations import conversation, with_system
from tasks.data.formats.messages import answer_text, conversation_turns, joined
from tasks.data.formats.preference_pairs import has_both, pair, pair_shape, paired

COLUMNS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "response"),
    ("query", "response"),
    ("input", "output"),
    ("message", "reply"),
)


def _read(record: Record) -> Shaped:
    question, answered = next(names for names in COLUMNS if record.keys() >= set(names))
    return read_columns(record, (question,), answered)


def read_columns(record: Record, questions: Sequence[str], answered: str) -> Shaped:
    """A question and its answer from these columns; of several the question's texts one below the other."""
    used = {*questions, answered}
    before, after = conversation_turns(record[questions[0]]), conversation_turns(record[answered])
    if before and after and len(questions) == 1:  # TRL's conversational prompt and completion
        return conversation(before + after, used)
    return with_system(record, Shaped([joined(record, questions), answer_text(record[answered])], used))


def _read_whole(record: Record) -> Shaped | None:
    """{chosen, rejected}, each a whole conversation."""
    if not has_both(record) or not conversation_turns(record["chosen"]):
        return None
    return pair([], record["chosen"], record["rejected"], {"chosen", "rejected"})


FORMAT = Format(
    "prompt_completion",
    shapes=(
        paired(("prompt", "question", "query", "input")),
        pair_shape(_read_whole, "chosen", "rejected"),
        Shape(tuple(map(frozenset, COLUMNS)), _read),
    ),
)
