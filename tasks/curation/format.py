"""Format: answers that are not in the dataset's form are converted where nothing is lost, else held back.

The form is the recipe's answer.json_schema; without one it is the form that most answers have
(tasks/curation/answer_forms/forms.py): JSON with certain keys, one of a set of labels, a list, or prose. Data without a
clear majority keeps all its forms.

    sft             every answer that teaches (weights). One of tool calls must keep their tools' schemas, and stays as
                    it is.
    preference      the chosen answer must keep the form. A rejected one may break it, that can be why it was rejected;
                    if it is JSON it is spelled as the chosen one is, so that a pair does not teach spelling.
    classification  labels that differ in case, width and separators only get the spelling used most. None is held back.

Converted (tasks/curation/answer_forms/json_text.py, fitting.py): code fences, trailing commas, Python dicts, old
formats by a template, old key names and values by a mapping, the case and separators of keys and labels, numbers
written as text. Valid JSON is written in one form, with the schema's order of keys. Each row's ledger entry lists what
was done to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field, field_validator

from tasks.core.errors import RecipeError, nearest
from tasks.core.ledger import ACTIONS, Outcome, changed, entries, entry
from tasks.core.row import any_calls, tools_of
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.curation.answer_forms.conform import LegacyNames, conform
from tasks.curation.answer_forms.fitting import only_match
from tasks.curation.answer_forms.forms import Form, infer_form
from tasks.curation.answer_forms.json_text import check_template, template_fields
from tasks.curation.filters.base import FilterContext, ReasonAndEvidence, taught_answers
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.reference import broken_calls

_REWRITTEN = "answer rewritten"


class FormatSettings(Settings):
    """What old exports call things, and what becomes of an answer that cannot be brought into the form."""

    # quarantine: a person can mend it. keep: what can be converted is, and the rest stays as it is.
    policy: Literal["quarantine", "drop", "keep"] = "quarantine"
    # Share of the answers that must have a form for it to be the form. A fifth may be dirt; with more, state a schema.
    majority: float = Field(default=0.8, gt=0.5, le=1)
    # Old key names of JSON answers: {old: new}.
    rename: dict[str, str] = Field(default_factory=dict)
    # Old values by (new) key: {intent: {login: account_access}}; under `label` where the whole answer is one.
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    # Old formats as texts with fields: "INTENT: {intent} | REPLY: {reply}".
    templates: tuple[str, ...] = ()

    @field_validator("rename", "values")
    @classmethod
    def _lead_to_new_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for names in [value] if all(isinstance(name, str) for name in value.values()) else value.values():
            if both := sorted(set(names) & set(names.values())):
                raise ValueError(f"{both[0]!r} is an old name and a new one; give the last name to each old one")
        return value

    @field_validator("templates")
    @classmethod
    def _are_templates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_template, value))

    def fitted(self, recipe: Any, folder: Path) -> Self:
        check_format(self, recipe.answer)
        return self


def format_answers(rows: pl.DataFrame, settings: FormatSettings, kind: RowKind, answer: AnswerSettings) -> Outcome:
    """Convert answers. kept: rows in the form, converted where needed. quarantined or dropped: the others, as they
    came.

    A form that is learned is learned anew from what is left until it stays the same, so formatting twice is formatting
    once. Raises RecipeError when the settings name a field or a value that answers cannot have.
    """
    check_format(settings, answer)
    rows = kept = rows.sort("row_id")
    old = LegacyNames(settings.rename, settings.values, settings.templates)
    lost: dict[str, ReasonAndEvidence] = _broken_calls(kept) if settings.policy != "keep" else {}
    kept = kept.filter(~_among(lost)) if lost else kept
    done: dict[str, list[str]] = {}
    form: Form | None = None
    while (now := _form(kept, settings, kind, answer)) != form:
        form, found = now, conform(FilterContext(kept, kind), now, old)
        lost |= found.misfits if settings.policy != "keep" else {}
        done |= {row_id: [*done.get(row_id, []), *rules] for row_id, rules in found.changes.items()}
        new = pl.DataFrame(found.rows, schema=rows.schema)
        same = kept.filter(~_among([*new["row_id"], *lost]))
        kept = pl.concat([same, new]).sort("row_id")
    return Outcome(kept, entries("format", _told(rows, kept, lost, done, settings.policy)))


def format_heldout(
    rows: pl.DataFrame,
    settings: FormatSettings,
    kind: RowKind,
    answer: AnswerSettings,
    training: pl.DataFrame | None = None,
) -> Outcome:
    """Held-out rows with their last answer, which a model's is compared with, in the form that training rows have.

    All are kept, and one of no such form stays as it is. What is asked stays too: it stands for what production sends.
    training: rows as `format_answers` left them, of which a form is learned; None where the recipe states one.
    """
    rows = rows.sort("row_id")
    old = LegacyNames(settings.rename, settings.values, settings.templates)
    like = None if training is None else FilterContext(training, kind)
    form = _form(rows if training is None else training, settings, kind, answer)
    last = rows.with_columns(weights=pl.Series(map(_weights_of_last, rows["messages"]), dtype=pl.List(pl.Float64)))
    found = conform(FilterContext(last, kind), form, old, like)
    before = {row["row_id"]: row for row in rows.filter(_among(found.changes)).iter_rows(named=True)}
    after = [{**new, "weights": before[new["row_id"]]["weights"]} for new in found.rows]
    changes = [changed(before[new["row_id"]], new, _REWRITTEN, rules=found.changes[new["row_id"]]) for new in after]
    kept = pl.concat([rows.filter(~_among(before)), pl.DataFrame(after, schema=rows.schema)])
    return Outcome(kept.sort("row_id"), entries("format", changes))


def _weights_of_last(messages: list[dict[str, Any]]) -> list[float]:
    """Weights by which nothing but the last answer is looked at."""
    answers = [number for number, turn in enumerate(messages) if turn["role"] == "assistant"]
    return [float(number in answers[-1:]) for number in range(len(messages))]


def _broken_calls(rows: pl.DataFrame) -> dict[str, ReasonAndEvidence]:
    """By row_id, why the calls of an answer that teaches are none of the tools on offer."""
    found: dict[str, ReasonAndEvidence] = {}
    for row in rows.filter(any_calls(rows)).iter_rows(named=True):
        for number, _, _ in taught_answers(row):
            made = row["calls"][number - 1]
            if made and (broken := broken_calls(made, tools_of(row["meta"]))):
                found.setdefault(
                    row["row_id"], ("tool call breaks its tool's schema", {"message": number, "rule": broken})
                )
    return found


def check_format(settings: FormatSettings, answer: AnswerSettings) -> None:
    """Raise RecipeError for a field that answer.json_schema does not have, or a value that it does not allow."""
    fields: dict[str, Any] = answer.json_schema.get("properties", {})
    parts = [name for template in settings.templates for name in template_fields(template)]
    written = [settings.rename.get(name) or only_match(name, fields) or name for name in parts]
    named = {"rename": [*settings.rename.values()], "values": [*settings.values], "templates": written}
    for key, names in named.items() if fields else ():
        for name in names:
            if name not in fields:
                raise _refused(key, f"{name!r} is no field of answer.json_schema", name, list(fields))
    for field, values in settings.values.items():
        allowed = fields[field].get("enum") if isinstance(fields.get(field), dict) else None
        for new in values.values():
            if allowed is not None and new not in allowed:
                raise _refused(f"values.{field}", f"{new!r} is no value of {field}", new, list(map(str, allowed)))


def _refused(key: str, problem: str, got: str, allowed: list[str]) -> RecipeError:
    todo = nearest(got, allowed) or "correct it in the recipe"
    return RecipeError(f"{problem}.", where=f"recipe: format.{key}", allowed=", ".join(allowed), todo=todo)


def _form(rows: pl.DataFrame, settings: FormatSettings, kind: RowKind, answer: AnswerSettings) -> Form:
    if kind.answer_is_label:
        return Form("label")
    if answer.json_schema:
        return Form("object", schema=answer.json_schema)
    return infer_form(FilterContext(rows, kind).written_answers["text"], settings.majority)


def _told(
    rows: pl.DataFrame, kept: pl.DataFrame, lost: dict[str, ReasonAndEvidence], done: dict[str, list[str]], policy: str
) -> list[dict[str, Any]]:
    gone = rows.filter(_among(lost)).iter_rows(named=True)
    told = [entry(row, ACTIONS[policy], lost[row["row_id"]][0], **lost[row["row_id"]][1]) for row in gone]
    ids = [row_id for row_id in done if row_id not in lost]
    pairs = zip(*(frame.filter(_among(ids)).iter_rows(named=True) for frame in (rows, kept)), strict=True)
    return told + [changed(old, new, _REWRITTEN, rules=list(dict.fromkeys(done[new["row_id"]]))) for old, new in pairs]


def _among(ids: Any) -> pl.Expr:
    return pl.col("row_id").is_in(pl.Series(list(ids), dtype=pl.String).implode())
