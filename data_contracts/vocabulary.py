"""The words of a contract: which expectations there are, which arguments each takes, which columns they may speak of.

Importing Great Expectations (GX) takes seconds, and a misspelt contract must be told at once, before any row is read.
So names and arguments come from the JSON schemas that GX ships as files (great_expectations/expectations/core/schemas).
"""

from __future__ import annotations

import difflib
import importlib.util
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tasks.core.errors import RecipeError
from tasks.core.personal_kinds import KINDS

# The columns of a row that a contract can speak of; facts.py fills those that it does, one row each.
COLUMNS = {
    "row_id": "the sha256 that names the row everywhere",
    "source": "the file the row came from",
    "prompt_chars": "characters in the question: every message before the final answer but the system's",
    "prompt_words": "words in the question",
    "prompt_key": "system message and question, in lower case, Unicode and spaces made alike: what dedupe compares",
    "answer_chars": "characters in the final message if it is the assistant's, else 0",
    "answer_words": "words in it",
    "answer_is_json": "true when it is one JSON object and nothing else, or tool calls",
    "answer_keeps_schema": "true when it keeps the recipe's answer.json_schema, or it has none; of calls: their "
    "tools' schemas",
    "answer_problem": "the first rule of that schema which it breaks, in words; null when it keeps all",
    "turns": "assistant messages in the row",
    "rejected_chars": "characters in the rejected answer of a preference pair, else 0",
    "same_answers": "true when the rejected answer of a preference pair is the chosen one, but for case and spaces",
    "label": "the answer's value of the recipe's answer.label; the whole answer where the recipe has none",
    "has_email": "true when an e-mail address stands in any message",
    "has_card": "true when a payment card number (prefix and check digit right) stands in any message",
    "has_html": "true when an HTML tag or entity stands in any message",
    "has_control_chars": "true when a control character, or the mark of a lost one (U+FFFD), stands in any message",
}
FIELD = "field_"  # and field_<name>: the answer's value of each of the recipe's answer.graded fields

# Columns that take longer: they compare rows with rows, or read each with a tokenizer or the finders of redact. What
# compares counts the rows that the step of that name would let go of, with the recipe's settings
# (tasks/contract/row_relations.py).
COSTLY = {
    "prompt_twin": "row_id of the row that dedupe would keep instead, comparing by prompt; null if it would keep this "
    "one",
    "answer_twin": "the same, comparing by answer",
    "pair_twin": "the same, comparing by prompt and answers together",
    "conflicts_with": "row_id of the row that it contradicts, where conflicts would hold this one back; null if it "
    "would not",
    "leaked_from": "row_id of the row of the holdout, the edge cases or a benchmark that decontaminate would drop it "
    "for",
    "tokens": "tokens of the row as the model is trained on it; of a preference pair the longer side",
    "personal_data": "the kinds of personal data in the row, as redact finds them: `email, phone`; null if none",
}

_RATE = {"type": "number", "minimum": 0, "maximum": 1}
_SOME: dict[str, Any] = {"row_condition": {"type": "string"}, "condition_parser": {"type": "string"}}


def _rate(required: str, **properties: Any) -> dict[str, Any]:
    return {"required": [required], "properties": {**properties, **_SOME}}


# The arguments of our own expectations (custom_expectations.py), told in the way that GX tells its own: as JSON
# schemas.
OWN: dict[str, dict[str, Any]] = {
    "expect_column_values_to_be_balanced": _rate(
        "column",
        column={"type": "string"},
        min_rows={"type": "integer", "minimum": 1},
        value_set={"type": "array"},
        max_share={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ),
    "expect_duplicate_rate_to_be_at_most": _rate("max_rate", max_rate=_RATE, of={"enum": ["prompt", "answer", "pair"]}),
    "expect_conflict_rate_to_be_at_most": _rate("max_rate", max_rate=_RATE),
    "expect_leakage_rate_to_be_at_most": _rate("max_rate", max_rate=_RATE),
    "expect_tokens_to_be_within_budget": _rate(
        "max_tokens", max_tokens={"type": "integer", "minimum": 1}, max_rate=_RATE
    ),
    "expect_valid_format_rate_to_be_at_least": _rate("min_rate", min_rate=_RATE, form={"enum": ["schema", "json"]}),
    "expect_personal_data_rate_to_be_at_most": _rate(
        "max_rate",
        max_rate=_RATE,
        kinds={"type": "array", "minItems": 1},  # which: _check_values
    ),
}

FEW = 6  # so many words are told in full; of more, the nearest
COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set")
# What GX lets an expectation carry for its own bookkeeping. Severity is said beside the expectation, in our words.
BOOKKEEPING = {
    "id",
    "meta",
    "notes",
    "result_format",
    "description",
    "catch_exceptions",
    "rendered_content",
    "severity",
    "windows",
    "batch_id",
    "metadata",
    "library_metadata",
}


@cache
def expectations() -> dict[str, Path | None]:
    """Every usable expectation by its snake case name, with its JSON schema; None for ours and the few without a file.

    Those of GX that need a database do not run on pandas and are left out.
    """
    spec = importlib.util.find_spec("great_expectations")  # finds the package without importing it
    folder = Path(str(spec and spec.origin)).parent / "expectations" / "core" / "schemas"
    index = json.loads((folder / "index.json").read_text())
    shipped = {
        name: folder / told["schema_file"]
        for name, told in index["expectations"].items()
        if "Pandas" in told["supported_data_sources"]
    }
    return {**shipped, **dict.fromkeys(index["documented_absent"]), **dict.fromkeys(OWN)}


def spelled(name: str) -> str:
    """The snake case name for either spelling; what no expectation is called comes back as it is."""
    plain = {known.replace("_", ""): known for known in expectations()}  # no rule splits ...KLDivergence... rightly
    return plain.get(name.replace("_", "").lower(), name)


def check_arguments(name: str, arguments: dict[str, Any], where: str) -> None:
    """Raise RecipeError for an argument or a column that expectation `name` does not know, or one that it misses.

    Values are left to GX: its schemas are narrower than its code (no boolean in a value_set, `mostly` in steps of .01).
    """
    schema = _schema(name)
    if schema["properties"]:  # else GX ships no schema, and says itself what is wrong when it runs
        only(arguments, schema["properties"], "argument", where)
    missing = [key for key in schema.get("required", []) if key not in arguments]
    if missing:
        raise RecipeError(
            f"Argument {missing[0]!r} is missing in a contract.",
            where=where,
            allowed=", ".join(schema["properties"]),
            todo="correct the contract",
        )
    if name in OWN:
        _check_values(schema, arguments, where)
    for column in columns_of(name, arguments):
        if column not in COLUMNS and column not in COSTLY and not column.startswith(FIELD):
            raise unknown("column", column, [*COLUMNS, *COSTLY, f"{FIELD}<name>"], where)


def columns_of(name: str, arguments: dict[str, Any]) -> tuple[str, ...]:
    """The columns that an expectation speaks of: those its arguments name, in their order, or the one it is about."""
    if fact := fact_of(name, arguments):
        return (fact,)
    named = [arguments[key] for key in COLUMN_ARGUMENTS if key in arguments]
    return tuple(column for value in named for column in ([value] if isinstance(value, str) else value))


def fact_of(name: str, arguments: dict[str, Any]) -> str:
    """The column that a rate of ours is a rate of; empty for every other expectation."""
    facts = {
        "expect_duplicate_rate_to_be_at_most": f"{arguments.get('of', 'prompt')}_twin",
        "expect_conflict_rate_to_be_at_most": "conflicts_with",
        "expect_leakage_rate_to_be_at_most": "leaked_from",
        "expect_tokens_to_be_within_budget": "tokens",
        "expect_valid_format_rate_to_be_at_least": "answer_is_json"
        if arguments.get("form") == "json"
        else "answer_problem",
        "expect_personal_data_rate_to_be_at_most": "personal_data",
    }
    return facts.get(name, "")


def _check_values(schema: dict[str, Any], arguments: dict[str, Any], where: str) -> None:
    import jsonschema

    if "kinds" in arguments:
        only(arguments["kinds"], KINDS, "kind", where)
    for error in jsonschema.Draft202012Validator(schema).iter_errors(arguments):
        told = {key: value for key, value in error.schema.items() if key != "items"}
        raise RecipeError(
            f"Argument {error.path[0]!r} of a contract cannot be {error.instance!r}.",
            where=where,
            allowed=", ".join(f"{key} {value}" for key, value in told.items()),
            todo="correct the contract",
        )


def only(got: Iterable[Any], allowed: Iterable[str], what: str, where: str) -> None:
    """Raise RecipeError for the first of `got` that is not allowed."""
    known = list(allowed)  # not a set: what YAML gives may be a list, which has no hash
    for key in got:
        if key not in known:
            raise unknown(what, key, known, where)


def unknown(what: str, got: Any, allowed: Iterable[str], where: str) -> RecipeError:
    """The error for a word that a contract does not know: the nearest allowed ones, or all when none is near."""
    known = sorted(allowed)
    close = difflib.get_close_matches(str(got), known, n=3)
    told = f"{' or '.join(close)} (the nearest of {len(known)})" if close and len(known) > FEW else ", ".join(known)
    return RecipeError(f"Unknown {what} {got!r} in a contract.", where=where, allowed=told, todo="correct the contract")


@cache
def _schema(name: str) -> dict[str, Any]:
    file = expectations()[name]
    schema = json.loads(file.read_text()) if file else OWN.get(name, {"properties": {}})
    return {**schema, "properties": {k: v for k, v in schema["properties"].items() if k not in BOOKKEEPING}}
