"""Preference pairs in the wild: one prompt, the answer people chose, and the one they rejected.

    {prompt, chosen, rejected}                              texts or lists of messages (prompt_completion.py)
    {chosen, rejected}                                      two conversations, alike but for the last turn (trl.py)
    {conversations, chosen, rejected}                       answers as turns (sharegpt.py)
    {instruction, input, history, chosen, rejected}         texts (alpaca.py)
    {input: {messages}, preferred_output, non_preferred_output}     OpenAI's (openai.py)
A row holds the prompt and the chosen answer as `messages`, and the rejected answer's text; so the two must be the
assistant's, and nothing before them may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tasks.core.row import Message, Turn, parsed
from tasks.core.row_kind import PREFERENCE
from tasks.data.formats.base import Record, Shape, Shaped
from tasks.data.formats.conversations import with_system
from tasks.data.formats.messages import (
    UnadaptedError,
    answer_text,
    content_text,
    conversation_turns,
    is_turn,
    message_fields,
    to_message,
)

Read = Callable[[Record], Shaped | None]


def pair_shape(read: Read, *keys: str) -> Shape:
    """The shape of records with two answers under `keys`; a column `system` is the system prompt."""

    def with_prompt(record: Record) -> Shaped | None:
        found = read(record)
        return found and with_system(record, found)

    return Shape((frozenset(keys),), with_prompt, PREFERENCE)


def paired(prompts: Sequence[str], better: str = "chosen", worse: str = "rejected") -> Shape:
    """The shape {one of `prompts`, better, worse}."""

    def read(record: Record) -> Shaped | None:
        key = next((name for name in prompts if record.get(name) is not None), None)
        if key is None or not has_both(record, better, worse):
            return None
        turns = conversation_turns(record[key]) or [{"role": "user", "content": content_text(record[key])}]
        return pair(turns, record[better], record[worse], {key, better, worse})

    return pair_shape(read, better, worse)


def has_both(record: Record, better: str = "chosen", worse: str = "rejected") -> bool:
    """Whether a record has both answers and not none. Raises UnadaptedError where it has one."""
    if (record[better] is None) != (record[worse] is None):
        missing = better if record[better] is None else worse
        raise UnadaptedError("one of the two answers is missing", missing=missing)
    return record[better] is not None


def pair(prompt: list[Turn], better: Any, worse: Any, used: set[str]) -> Shaped:
    """A prompt and two answers, which may repeat the prompt. Raises UnadaptedError where they are no pair."""
    chosen, rejected = _answer_turns(better), _answer_turns(worse)
    (*before, best), (*also, worst) = ([to_message(turn) for turn in side] for side in (chosen, rejected))
    if best["role"] != "assistant" or worst["role"] != "assistant":
        raise UnadaptedError("an answer that is not the assistant's", roles=[best["role"], worst["role"]])
    if before != also:
        raise UnadaptedError("answers that differ before their last turn", turns=[len(chosen), len(rejected)])
    asked = [to_message(turn) for turn in prompt]
    if asked[-1:] == [best]:  # a column of the whole conversation beside the pair, as UltraFeedback has it
        asked = asked[:-1]
    whole = _joined(asked, before)
    if not whole:
        raise UnadaptedError("a pair of answers without a prompt")
    fields = message_fields([*prompt, *chosen, *rejected])
    return Shaped([*whole, best], used, rejected=worst["content"], fields=fields)


def _answer_turns(value: Any) -> list[Turn]:
    """One answer as turns: a list of them, one turn, or its text; of a conversation all of it."""
    turn = parsed(value, "{")
    return [turn] if is_turn(turn) else conversation_turns(value) or [dict(answer_text(value))]


def _joined(prompt: list[Message], before: list[Message]) -> list[Message]:
    """The prompt, where the answers repeat it, or go on from it, or do not have it."""
    if not before:
        return prompt
    if not prompt or prompt in (before[: len(prompt)], before[-len(prompt) :]):
        return before
    if before[0]["role"] == "assistant":
        return [*prompt, *before]
    raise UnadaptedError("answers that follow another prompt", turns=[len(prompt), len(before)])
