"""The answer that a row has for reference, in text or as tool calls, and an answer that a model gave.

Calls of one message are parallel in OpenAI's format, so their order does not count; arguments are equal as JSON is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.core.row import as_message, name_of, tools_of, turns
from tasks.metrics.answer_schema import AnswerSettings, broken_rule, broken_schema, parse, same


@dataclass(frozen=True)
class ModelAnswer:
    """An answer. text: what it says. calls: the JSON list of its tool_calls, as a row has it; None for an answer in
    text.
    """

    text: str
    calls: str | None = None

    @property
    def json(self) -> dict[str, Any] | None:
        """The JSON object that an answer in text is; None when it is none, or one of calls."""
        return None if self.calls is not None else parse(self.text)

    @property
    def as_text(self) -> str:
        """As text, its calls as lines below what it says."""
        return str(as_message({"role": "assistant", "content": self.text, **_listed(self.calls)})["content"])


@dataclass(frozen=True)
class Reference:
    """What a row asks for. answer: its last assistant turn, None when it has none. tools: those on offer."""

    answer: ModelAnswer | None
    tools: list[Any] | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Reference:
        """row: messages, calls, meta of ROW_SCHEMA."""
        last = next((turn for turn in reversed(turns(dict(row))) if turn["role"] == "assistant"), None)
        calls = json.dumps(last["tool_calls"], ensure_ascii=False) if last and "tool_calls" in last else None
        return cls(ModelAnswer(last["content"] or "", calls) if last else None, tools_of(row["meta"]))

    @cached_property
    def json(self) -> dict[str, Any]:
        """The JSON object of the answer; empty when it has none."""
        return (self.answer.json if self.answer else None) or {}

    def fault(self, form: AnswerSettings) -> str:
        """Why no answer could be right, as one that breaks the form itself; empty when one could."""
        if self.answer is None:
            return "no assistant message"
        if self.answer.calls is not None:
            return broken_calls(self.answer.calls, self.tools) if self.tools else "calls a tool, and none is on offer"
        if not form.json_schema:
            return ""
        value = self.answer.json
        return "not a JSON object" if value is None else broken_rule(value, form)


def same_tools(right: str | None, given: str | None) -> bool:
    """Whether both lists of calls, as JSON, call the same tools as often."""
    return Counter(name for name, _ in _pairs(right)) == Counter(name for name, _ in _pairs(given))


def same_calls(right: str | None, given: str | None) -> bool:
    """Whether both lists of calls, as JSON, are the same calls in any order."""
    return same_tools(right, given) and _alike(_pairs(right), _pairs(given))


def broken_calls(calls: str | None, tools: Sequence[Any] | None) -> str:
    """The first rule that a message's calls break, as `tool: rule`; empty when they keep all.

    Each is of one of `tools`, where there are any, and its arguments keep that tool's schema. As in `broken_rule`,
    hardly anything of a value itself is told.
    """
    schemas = {name_of(tool): _schema(tool) for tool in tools or ()}
    for name, arguments in _pairs(calls):
        if not isinstance(arguments, dict):
            return f"{name}: arguments are no JSON object"
        if name not in schemas:
            if schemas:
                return f"{name}: not among the tools on offer"
            continue
        try:
            broken = broken_schema(arguments, schemas[name])
        except ValueError:  # of a schema that is none, or refers to one elsewhere
            return f"{name}: the tool's parameters are no JSON schema"
        if broken:
            return f"{name}: {broken}"
    return ""


def _schema(tool: Any) -> str:
    inner = tool.get("function", tool) if isinstance(tool, dict) else {}
    return json.dumps((inner.get("parameters") if isinstance(inner, dict) else None) or {})


def _listed(calls: str | None) -> dict[str, Any]:
    return {} if calls is None else {"tool_calls": json.loads(calls)}


def _pairs(calls: str | None) -> list[tuple[str, Any]]:
    """(name, arguments) of each call."""
    functions = [call["function"] for call in json.loads(calls or "[]")]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


def _alike(right: list[tuple[str, Any]], got: list[tuple[str, Any]]) -> bool:
    """Whether both are the same calls in any order; each list has the same names."""
    left = list(got)
    for name, arguments in right:
        found = next((i for i, one in enumerate(left) if one[0] == name and same(arguments, one[1])), None)
        if found is None:
            return False
        del left[found]
    return True
