"""The labels, named to a prompted baseline: one that is never told what it may answer proves nothing by being wrong."""

from __future__ import annotations

import polars as pl

from tasks.core.row_kind import RowKind
from tasks.evaluation.classify import fields_of, training_answers
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings

MOST_CHARACTERS = 4_000  # of all labels: beyond, a prompt is mostly a list, and slow to read


def with_labels(prompt: PromptSettings, rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> PromptSettings:
    """`prompt` with what may be answered at the end of its system prompt; as it is where rows have no labels, where
    these are too many, and where it names all of them already.
    """
    named = _fields(answer) if fields_of(answer) else {"": _answers(rows, answer, kind)}
    named = {name: values for name, values in named.items() if values}
    labels = [value for values in named.values() for value in values]
    told = all(value in prompt.system for value in labels)
    if told or sum(map(len, labels)) > MOST_CHARACTERS:
        return prompt
    return prompt.model_copy(update={"system": "\n".join(filter(None, (prompt.system, _words(named, answer))))})


def _fields(answer: AnswerSettings) -> dict[str, list[str]]:
    """The values that the schema allows of each field that is a class."""
    properties = answer.json_schema.get("properties", {})
    found = {name: properties.get(name, {}) for name in fields_of(answer)}
    return {name: [str(one) for one in rule.get("enum", ())] for name, rule in found.items() if isinstance(rule, dict)}


def _answers(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> list[str]:
    return sorted(set(training_answers(rows, answer, kind)["answer"])) if not answer.json_schema else []


def _words(named: dict[str, list[str]], answer: AnswerSettings) -> str:
    if "" in named:
        return f"Answer with one of these and nothing else: {', '.join(named[''])}."
    keys = ", ".join(answer.json_schema.get("properties", {}))
    told = [f"Answer with one JSON object and nothing else, with the keys {keys}."]
    return " ".join([*told, *(f"{name} is one of: {', '.join(values)}." for name, values in named.items())])
