"""Which answer a row wants, in text or as tool calls, and whether one that was given is right.

A row is marked on what its own answer is: one in text on the text (tasks/metrics/answer_schema.py), one of calls on the
calls; a mark that its row does not have is null, for every variant alike. `call_due`: of every row with tools on offer,
whether a call is made when the row has one and not when it has none. Of rows that want calls: `call_schema`, every call
is of a tool on offer and keeps its schema; `call_name`, the right tools as often as they are due; `call_arguments`,
with the right arguments too; `exact`, and the same text beside them. Arguments are equal as JSON is; calls of one
message are parallel in OpenAI's format, so their order does not count.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.row import name_of, spoken, tools_of, turns
from tasks.metrics.answer_schema import CALL_METRICS, AnswerSettings, broken_rule, broken_schema, mark, parse, same

Marks = dict[str, bool | None]


@dataclass(frozen=True)
class Said:
    """An answer. text: what it says. calls: the JSON list of its tool_calls, as a row has it; None for an answer in
    text.
    """

    text: str
    calls: str | None = None

    @property
    def told(self) -> str:
        """As text, its calls as lines below what it says."""
        return str(spoken({"role": "assistant", "content": self.text, **_listed(self.calls)})["content"])


@dataclass(frozen=True)
class Wanted:
    """What a row asks for. said: its last assistant turn, None when it has none. tools: those on offer."""

    said: Said | None
    tools: list[Any] | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Wanted:
        """row: messages, calls, meta of ROW_SCHEMA."""
        last = next((turn for turn in reversed(turns(dict(row))) if turn["role"] == "assistant"), None)
        calls = json.dumps(last["tool_calls"], ensure_ascii=False) if last and "tool_calls" in last else None
        return cls(Said(last["content"] or "", calls) if last else None, tools_of(row["meta"]))

    def fault(self, answer: AnswerSettings) -> str:
        """Why no answer could be right, as one that breaks the form itself; empty when one could."""
        if self.said is None:
            return "no assistant message"
        if self.said.calls is not None:
            return broken_calls(self.said.calls, self.tools) if self.tools else "calls a tool, and none is on offer"
        if not answer.json_schema:
            return ""
        value = parse(self.said.text)
        return "not a JSON object" if value is None else broken_rule(value, answer)

    def marks(self, given: Said, answer: AnswerSettings) -> Marks:
        """Whether the answer `given` is right, by metric: those of `answer`, and CALL_METRICS."""
        wanted, called = self.said or Said(""), given.calls is not None
        due = called == (wanted.calls is not None) if self.tools else None
        if wanted.calls is None:
            text = dict.fromkeys(answer.metrics, False) if called else mark(wanted.text, given.text, answer)
            return {**dict.fromkeys(CALL_METRICS), "call_due": due, **text}
        right, got = _pairs(wanted.calls), _pairs(given.calls)
        names = Counter(name for name, _ in right) == Counter(name for name, _ in got)
        alike = names and _alike(right, got)
        return {
            **dict.fromkeys(answer.metrics),
            "call_due": due,
            "call_schema": called and not broken_calls(given.calls, self.tools),
            "call_name": names,
            "call_arguments": alike,
            "exact": alike and wanted.text.strip() == given.text.strip(),
        }


def measured(wanted: Sequence[Wanted], answer: AnswerSettings) -> tuple[str, ...]:
    """The metrics that these rows have, in falling gravity; `exact` is one of every row."""
    said = [one.said for one in wanted if one.said]
    text = answer.metrics[:-1] if any(one.calls is None for one in said) else ()
    due = CALL_METRICS[:1] if any(one.tools for one in wanted) else ()
    calls = CALL_METRICS[1:] if any(one.calls is not None for one in said) else ()
    return (*text, *due, *calls, answer.metrics[-1])


def headline(metrics: Sequence[str], answer: AnswerSettings) -> str:
    """The one of `metrics` that speaks for a variant: the first graded field, else the right calls,
    else exact match.
    """
    return next(name for name in (*answer.graded[:1], "call_arguments", "exact") if name in metrics)


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
