"""Filter: rows that cannot teach, each with the rule it breaks; valid JSON answers are written in one form.

Applied to training rows only: an empty message is a fair question in a set of edge cases. A rule looks at one row and
gives None or (action, reason, evidence); to add one, write it and put it into RULES, where the first that applies is
told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from tasks.core.answer import AnswerSettings, broken_rule, parse
from tasks.core.ledger import Outcome, changed, entries, entry
from tasks.core.settings import Settings

Messages = list[dict[str, str]]
Verdict = tuple[str, str, dict[str, Any]]  # action, reason, evidence
Rule = Callable[[Messages, AnswerSettings], Verdict | None]


class FilterSettings(Settings):
    """Nothing to set: what an answer must be is said once, under `answer` in the recipe."""


def filter_answers(rows: pl.DataFrame, settings: FilterSettings, answer: AnswerSettings) -> Outcome:
    """kept: rows whose every answer has the form that the recipe asks for.

    dropped: rows without a message or an answer. quarantined: rows whose answer a person could mend.
    """
    kept: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for row in rows.iter_rows(named=True):
        verdict = next((found for rule in RULES if (found := rule(row["messages"], answer)) is not None), None)
        if verdict is not None:
            action, reason, evidence = verdict
            told.append(entry(row, action, reason, **evidence))
            continue
        messages = [_canonical(m, answer) for m in row["messages"]]
        new = {**row, "messages": messages}
        if messages != row["messages"]:
            told.append(changed(row, new, "answer written in the standard JSON form"))
        kept.append(new)
    return Outcome(pl.DataFrame(kept, schema=rows.schema), entries("filter", told))


def _turns(messages: Messages, role: str) -> Iterator[tuple[int, str]]:
    """(number of the message from 1, its text) of every message with this role."""
    return ((i, m["content"] or "") for i, m in enumerate(messages, 1) if m["role"] == role)


# ---------------------------------------------------------------- rules


def no_message(messages: Messages, _: AnswerSettings) -> Verdict | None:
    asked = any(_turns(messages, "user"))
    return None if asked else ("dropped", "no user message", {"roles": _roles(messages)})


def empty_message(messages: Messages, _: AnswerSettings) -> Verdict | None:
    empty = [number for number, text in _turns(messages, "user") if not text.strip()]
    return ("dropped", "empty message", {"message": empty[0]}) if empty else None


def no_answer(messages: Messages, _: AnswerSettings) -> Verdict | None:
    answered = any(_turns(messages, "assistant"))
    return None if answered else ("dropped", "no assistant answer", {"roles": _roles(messages)})


def empty_answer(messages: Messages, _: AnswerSettings) -> Verdict | None:
    empty = [number for number, text in _turns(messages, "assistant") if not text.strip()]
    return ("dropped", "empty answer", {"message": empty[0]}) if empty else None


def unreadable_answer(messages: Messages, answer: AnswerSettings) -> Verdict | None:
    """Prose, an old format, broken or cut-off JSON."""
    for number, text in _turns(messages, "assistant") if answer.json_schema else ():
        if _object(text) is None:
            reason = "answer is cut off" if _cut_off(text.strip()) else "answer is not JSON"
            return "quarantined", reason, {"message": number, "characters": len(text)}
    return None


def answer_breaks_schema(messages: Messages, answer: AnswerSettings) -> Verdict | None:
    for number, text in _turns(messages, "assistant") if answer.json_schema else ():
        if broken := broken_rule(parse(text) or {}, answer):
            return "quarantined", "answer breaks the schema", {"message": number, "rule": broken}
    return None


RULES: tuple[Rule, ...] = (no_message, empty_message, no_answer, empty_answer, unreadable_answer, answer_breaks_schema)


def _roles(messages: Messages) -> list[str]:
    return [m["role"] for m in messages]


def _object(text: str) -> dict[str, Any] | None:
    """The answer as an object; None also for one with half of an escaped pair (\\ud83d), which is no Unicode text."""
    value = parse(text)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return None
    return value


def _cut_off(text: str) -> bool:
    """Begins like JSON, and what is wrong is that it ends. A slip in the middle or words after it are another matter."""
    if not text.startswith("{"):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.msg != "Extra data" and (error.pos >= len(text) or not text.endswith("}"))
    except RecursionError:
        return not text.endswith("}")
    return False


def _canonical(message: dict[str, str], answer: AnswerSettings) -> dict[str, str]:
    """The answer with the schema's order of keys and Python's separators: one form to learn, one to compare with."""
    value = _object(message["content"] or "") if answer.json_schema and message["role"] == "assistant" else None
    if value is None:
        return message
    order = [key for key in answer.json_schema.get("properties", {}) if key in value]
    ordered = {key: value[key] for key in [*order, *(key for key in value if key not in order)]}
    return {"role": message["role"], "content": json.dumps(ordered, ensure_ascii=False)}
