"""What an answer must be, one JSON object under a schema or free text, and whether one is right.

Read by format, conflicts, split, check and evaluate.
"""

from __future__ import annotations

import json
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import jsonschema
from pydantic import Field, field_validator

from tasks.core.settings import MisfitError, Settings
from tasks.core.text.strict_json import refuse_constant

# What tool calls are marked on, the gravest fault first (tasks/metrics/graders.py).
CALL_METRICS = ("call_due", "call_schema", "call_name", "call_arguments")
# Names that a graded field cannot have: the other metrics, and the columns that stand beside them in graded.parquet.
RESERVED = (
    "json_valid",
    "schema_valid",
    "all_graded",
    "exact",
    *CALL_METRICS,
    "row_id",
    "set",
    "slice",
    "variant",
    "question",
    "expected",
    "answer",
)
SHOWN_CHARACTERS = 40  # of a label that is not among the allowed ones


class AnswerSettings(Settings):
    """The form every assistant answer must have, stated once in the recipe."""

    # Any JSON schema. Empty: answers are free text, and only exact match is graded.
    json_schema: dict[str, Any] = Field(default_factory=dict)
    # The field that is the class of the row: its values are balanced by split and must not contradict (conflicts).
    label: str = ""
    # Fields whose value is either right or wrong; a reply in prose is not among them.
    graded: tuple[str, ...] = ()

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            jsonschema.Draft202012Validator.check_schema(value)
        except jsonschema.SchemaError as error:
            raise ValueError(f"not a JSON schema: {error.message}") from error
        try:
            _validators(json.dumps(value))
        except ValueError as error:  # a reference to a schema that is not in this one
            raise ValueError(f"a JSON schema that cannot be used: {str(error).splitlines()[0]}") from error
        return value

    @field_validator("graded")
    @classmethod
    def _has_its_own_name(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if taken := [name for name in value if name in RESERVED]:
            raise ValueError(f"{taken[0]!r} is a name that evaluation keeps for itself, like {', '.join(RESERVED)}")
        if len(set(value)) < len(value):
            raise ValueError("a field is named twice")
        return value

    def fitted(self, recipe: Any, folder: Path) -> Self:
        fields = list(self.json_schema.get("properties", {}))
        named = [(("label",), self.label)] if self.label else []
        for location, name in [*named, *((("graded", i), name) for i, name in enumerate(self.graded))]:
            if name not in fields:
                raise MisfitError(location, f"{name!r} is no field of answer.json_schema", got=name, known=fields)
        return self

    @cached_property
    def schema_text(self) -> str:
        """The schema as JSON: what validators are kept by."""
        return json.dumps(self.json_schema)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What each answer in text is marked on, right or wrong; evaluate measures these and gate rules name them."""
        if not self.json_schema:
            return ("exact",)
        return ("json_valid", "schema_valid", *self.graded, *(("all_graded",) if self.graded else ()), "exact")

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """What may be measured: whether the rows that judge have tools, and so calls, is seen once they are read."""
        return (*self.metrics, *CALL_METRICS)


@lru_cache(maxsize=64)  # the recipe's, and those of the tools on offer
def _validators(schema: str) -> tuple[Any, jsonschema.Draft202012Validator]:
    """Two of the same schema: one in Rust, seventy times as fast, that says whether; and one whose
    errors can be told.
    """
    import jsonschema_rs

    # offline: a tool's schema comes with the data, and must not make us fetch what it names.
    return jsonschema_rs.Draft202012Validator(schema, offline=True), jsonschema.Draft202012Validator(json.loads(schema))


def _told(error: jsonschema.ValidationError) -> str:
    """The rule in words; the library's own message repeats the value, however long it is."""
    if error.validator in ("required", "additionalProperties"):
        return error.message
    if (
        error.validator in ("enum", "const")
        and isinstance(error.instance, str)
        and len(error.instance) <= SHOWN_CHARACTERS
    ):
        return error.message
    asked = json.dumps(error.validator_value, ensure_ascii=False)
    return f"{error.validator} {asked}, got {type(error.instance).__name__}"


def parse(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, which must be nothing else; None when it is not one.

    Strict where Python is lax: NaN and Infinity are not JSON, and other parsers refuse them.
    """
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):  # a model that repeats itself can nest a thousand brackets
        return None
    return value if isinstance(value, dict) else None


def broken_rule(value: dict[str, Any], settings: AnswerSettings) -> str:
    """The first schema rule that `value` breaks, as `field: rule`; empty when it keeps all.

    Of the value itself only a short label is told, and names of keys: the ledger must not repeat what people wrote.
    """
    return broken_schema(value, settings.schema_text)


def broken_schema(value: dict[str, Any], schema: str) -> str:
    """`broken_rule` of any JSON schema, given as text. Raises ValueError for what is none."""
    fast, thorough = _validators(schema)
    if fast.is_valid(value):
        return ""
    errors = sorted(thorough.iter_errors(value), key=lambda error: list(map(str, error.path)))
    return f"{'.'.join(map(str, errors[0].path)) or 'object'}: {_told(errors[0])}" if errors else ""


def label_of(text: str, settings: AnswerSettings) -> str | None:
    """The class of an answer: its `label` field, or the whole text when answers are free text."""
    if not settings.label:
        return text.strip()
    value = (parse(text) or {}).get(settings.label)
    return None if value is None else str(value)


def mark(expected: str, given: str, settings: AnswerSettings) -> dict[str, bool]:
    """Whether the answer `given` is right, by metric; one that is no JSON object is right in nothing."""
    if not settings.json_schema:
        return {"exact": given.strip() == expected.strip()}
    right, got = parse(expected) or {}, parse(given)
    if got is None:
        return dict.fromkeys(settings.metrics, False)
    fields = {name: _same_field(right, got, name) for name in settings.graded}
    marks = {
        "json_valid": True,
        "schema_valid": not broken_rule(got, settings),
        **fields,
        "all_graded": all(fields.values()),
        "exact": same(right, got),
    }
    return {name: marks[name] for name in settings.metrics}


def _same_field(right: dict[str, Any], got: dict[str, Any], name: str) -> bool:
    if name in right and name in got:
        return same(right[name], got[name])
    return name not in right and name not in got


def same(right: Any, got: Any) -> bool:
    """Equality as JSON has it: 1 is 1.0, and true is not 1, though Python says it is."""
    return jsonschema.Draft202012Validator({"const": right}).is_valid(got)
