"""Preference pairs in the wild: one prompt, the answer people chose, and the one they rejected.

    {prompt, chosen, rejected}                          texts or lists of messages (TRL; question, query, input
    likewise) {chosen, rejected}                                  two conversations, alike but for the last turn (TRL)
    {conversations, chosen, rejected}                   answers as turns (LLaMA-Factory's ShareGPT) {instruction, input,
    history, chosen, rejected}     (LLaMA-Factory's Alpaca) {input: {messages}, preferred_output, non_preferred_output}
    (OpenAI)
A row holds the prompt and the chosen answer as `messages`, and the rejected answer's text; so the two must be the
assistant's, and nothing before them may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tasks.core.row import Message, parsed
from tasks.data.formats.messages import UnadaptedError, answer, content, message, message_fields, speaks, spoken

Turn = dict[str, Any]


class Pair(NamedTuple):
    """messages: the prompt and the chosen answer. used: the lower-case keys. fields: what single
    messages say besides.
    """

    messages: list[Message]
    rejected: str
    used: set[str]
    fields: dict[str, Any]


Preference = Callable[[dict[str, Any]], Pair | None]


def paired(asked: Sequence[str], better: str = "chosen", worse: str = "rejected") -> Preference:
    """The shape {one of `asked`, better, worse}."""

    def read(row: dict[str, Any]) -> Pair | None:
        key = next((name for name in asked if row.get(name) is not None), None)
        if key is None or not _both(row, better, worse):
            return None
        turns = spoken(row[key]) or [{"role": "user", "content": content(row[key])}]
        return _pair(turns, row[better], row[worse], {key, better, worse})

    return read


def whole(row: dict[str, Any]) -> Pair | None:
    """The shape {chosen, rejected}, each a whole conversation."""
    if not _both(row, "chosen", "rejected") or not spoken(row["chosen"]):
        return None
    return _pair([], row["chosen"], row["rejected"], {"chosen", "rejected"})


def openai(row: dict[str, Any]) -> Pair | None:
    """OpenAI's preference format. Tools in its input go with it to meta, as `input`."""
    given = parsed(row.get("input"), "{")
    if not isinstance(given, dict) or not _both(row, "preferred_output", "non_preferred_output"):
        return None
    turns = spoken(given.get("messages"))
    if turns is None:
        raise UnadaptedError("a prompt without messages")
    rest = {key: value for key, value in given.items() if key != "messages" and value not in (None, [])}
    used = {"input", "preferred_output", "non_preferred_output"}
    pair = _pair(turns, row["preferred_output"], row["non_preferred_output"], used)
    return pair._replace(fields={**pair.fields, **({"input": rest} if rest else {})})


def alpaca(row: dict[str, Any]) -> Pair | None:
    """LLaMA-Factory's Alpaca with two answers, which are text whatever they look like."""
    if "instruction" not in row or not _both(row, "chosen", "rejected"):
        return None
    used = {"instruction", "input", "chosen", "rejected"} | ({"history"} if history(row) else set())
    better, worse = ([dict(answer(row[key]))] for key in ("chosen", "rejected"))
    return _pair([dict(turn) for turn in instruction(row)], better, worse, used)


def instruction(row: dict[str, Any]) -> list[Message]:
    """What an Alpaca record asks: its earlier exchanges, then the instruction with its input below."""
    asked = [part for part in (content(row["instruction"]), content(row.get("input"))) if part]
    return [*history(row), {"role": "user", "content": "\n\n".join(asked)}]


def history(row: dict[str, Any]) -> list[Message]:
    """Earlier exchanges of an Alpaca record, [[question, answer], ...]; anything else by that name is none."""
    earlier = parsed(row.get("history"), "[")
    if not isinstance(earlier, list) or not all(isinstance(e, list | tuple) and len(e) == 2 for e in earlier):
        return []
    return [
        {"role": ("user", "assistant")[place], "content": content(turns[place])}
        for turns in earlier
        for place in (0, 1)
    ]


def _both(row: dict[str, Any], better: str, worse: str) -> bool:
    """Whether a record has both answers and not none. Raises UnadaptedError where it has one."""
    if (row[better] is None) != (row[worse] is None):
        raise UnadaptedError("one of the two answers is missing", missing=better if row[better] is None else worse)
    return row[better] is not None


def _pair(asked: list[Turn], better: Any, worse: Any, used: set[str]) -> Pair:
    chosen, rejected = _answered(better), _answered(worse)
    (*before, best), (*also, worst) = ([message(turn) for turn in side] for side in (chosen, rejected))
    if best["role"] != "assistant" or worst["role"] != "assistant":
        raise UnadaptedError("an answer that is not the assistant's", roles=[best["role"], worst["role"]])
    if before != also:
        raise UnadaptedError("answers that differ before their last turn", turns=[len(chosen), len(rejected)])
    prompt = _joined([message(turn) for turn in asked], before)
    if not prompt:
        raise UnadaptedError("a pair of answers without a prompt")
    return Pair([*prompt, best], worst["content"], used, message_fields([*asked, *chosen, *rejected]))


def _answered(value: Any) -> list[Turn]:
    """One answer as turns: a list of them, one turn, or its text; of a conversation all of it."""
    turn = parsed(value, "{")
    return [turn] if speaks(turn) else spoken(value) or [dict(answer(value))]


def _joined(asked: list[Message], before: list[Message]) -> list[Message]:
    """The prompt, where the answers repeat it, or go on from it, or do not have it."""
    if not before:
        return asked
    if not asked or asked in (before[: len(asked)], before[-len(asked) :]):
        return before
    if before[0]["role"] == "assistant":
        return [*asked, *before]
    raise UnadaptedError("answers that follow another prompt", turns=[len(asked), len(before)])
