"""The form of an answer: one JSON object under a schema, or free text.

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

SHOWN_CHARACTERS = 40  # of a label that is not among the allowed ones


class AnswerSettings(Settings):
    """The form every assistant answer must have, stated once in the recipe."""

    # Any JSON schema. Empty: answers are free text.
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
    def _is_named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
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


@lru_cache(maxsize=64)  # the recipe's, and those of the tools on offer
def _validators(schema: str) -> tuple[Any, jsonschema.Draft202012Validator]:
    """Two of the same schema: one in Rust, seventy times as fast, that says whether; and one whose
    errors can be told.
    """
    import jsonschema_rs

    # offline: a tool's schema comes with the data, and must not make us fetch what it names.
    return jsonschema_rs.Draft202012Validator(schema, offline=True), jsonschema.Draft202012Validator(json.loads(schema))


def _in_words(error: jsonschema.ValidationError) -> str:
    """The rule in words; the library's own message repeats the value, however long it is."""
    if error.validator in ("required", "additionalProperties"):
        return error.message
    if (
        error.validator in ("enum", "const")
        and isinstance(error.instance, str)
        and len(error.instance) <= SHOWN_CHARACTERS
    ):
        return error.message
    limit = json.dumps(error.validator_value, ensure_ascii=False)
    return f"{error.validator} {limit}, got {type(error.instance).__name__}"


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
    return f"{'.'.join(map(str, errors[0].path)) or 'object'}: {_in_words(errors[0])}" if errors else ""


def label_of(text: str, settings: AnswerSettings) -> str | None:
    """The class of an answer: its `label` field, or the whole text when answers are free text."""
    if not settings.label:
        return text.strip()
    value = (parse(text) or {}).get(settings.label)
    return None if value is None else str(value)


def same(right: Any, got: Any) -> bool:
    """Equality as JSON has it: 1 is 1.0, and true is not 1, though Python says it is."""
    return jsonschema.Draft202012Validator({"const": right}).is_valid(got)
