"""Bring answers into a form: what is changed in a row, and what of it is in no way of that form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from tasks.curation.answer_forms.fitting import VALUE, fit, folded_label
from tasks.curation.answer_forms.forms import Form, shapes, spellings
from tasks.curation.answer_forms.json_text import (
    DuplicateKeyError,
    canonical_json,
    is_cut_off,
    parse_object,
    same_json,
    strict_object,
)
from tasks.curation.filters.base import REJECTED, FilterContext, ReasonAndEvidence, Row, taught_answers, written_answers
from tasks.metrics.answer_schema import AnswerSettings, broken_rule

STANDARD, SPELLING = "standard JSON form", "spelling of the label"
LABEL = "label"  # the field that an answer is which is nothing but a label
# Whoever asks for an object gets one, also where answers are prose.
_ASKED_FOR = re.compile(
    r"(?i)json|dict|object|code|program|function|format|array|schema|css|yaml|config|class\b|set of"
)


@dataclass(frozen=True)
class LegacyNames:
    """What old exports call things: key names, values by (new) key, whole formats as templates."""

    rename: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    templates: Sequence[str] = ()


@dataclass(frozen=True)
class Conformed:
    """Rows brought into a form.

    rows: the changed ones. changes: what was changed in each, by row_id. misfits: why a row is not of the form, by
    row_id.
    """

    rows: list[Row] = field(default_factory=list)
    changes: dict[str, list[str]] = field(default_factory=dict)
    misfits: dict[str, ReasonAndEvidence] = field(default_factory=dict)


def conform(context: FilterContext, form: Form, old: LegacyNames, like: FilterContext | None = None) -> Conformed:
    """Bring rows into the form; those of another form stay as they are, misfits. Conforming again changes nothing.

    like: other rows, whose spelling of a label counts instead of these rows' own.
    """
    if form.name == "object":
        return _objects(context, AnswerSettings(json_schema=form.schema), old)
    if form.name == "label":
        return _labels(context, form, old.values.get(LABEL, {}), like)
    return _other_shapes(context, form)


# ---------------------------------------------------------------- objects


def _objects(context: FilterContext, answer: AnswerSettings, old: LegacyNames) -> Conformed:
    out = Conformed()
    for row in context.rows.iter_rows(named=True):
        new, done, found = _object_row(row, answer, old)
        if found is not None:
            out.misfits[row["row_id"]] = found
        elif done:
            out.rows.append(new)
            out.changes[row["row_id"]] = done
    return out


def _object_row(row: Row, answer: AnswerSettings, old: LegacyNames) -> tuple[Row, list[str], ReasonAndEvidence | None]:
    done: list[str] = []
    texts = {}
    for number, text, _ in written_answers(row):
        new, found = _object_answer(text, answer, old, done)
        if found is not None:
            return row, [], (found[0], {"message": number, **found[1]})
        texts[number] = new
    rejected = _rejected(row["rejected"], answer, old, done)
    if not done:
        return row, [], None
    messages = [
        {**message, "content": texts.get(number, message["content"])}
        for number, message in enumerate(row["messages"], 1)
    ]
    return {**row, "messages": messages, "rejected": rejected}, list(dict.fromkeys(done)), None


def _object_answer(
    text: str, answer: AnswerSettings, old: LegacyNames, done: list[str]
) -> tuple[str, ReasonAndEvidence | None]:
    """(the answer in the schema's form, None), or (as it was, why it has none); what was done is added to `done`."""
    try:
        value, undone = parse_object(text, old.templates)
    except DuplicateKeyError as error:
        return text, ("answer breaks the schema", {"rule": str(error)})
    if value is None:
        return text, ("answer is cut off" if is_cut_off(text) else "answer is not JSON", {"characters": len(text)})
    fitted, fits = fit(value, answer.json_schema, old.rename, old.values)
    if broken := broken_rule(fitted, answer):
        return text, ("answer breaks the schema", {"rule": broken})
    new = canonical_json(fitted, list(answer.json_schema.get("properties", {})))
    if new == text:
        return text, None
    if undone or fits:
        done += [*undone, *fits]
        return new, None
    if not same_json(text, new):  # a number with more digits than a computer's number holds
        return text, None
    done.append(STANDARD)
    return new, None


def _rejected(text: str | None, answer: AnswerSettings, old: LegacyNames, done: list[str]) -> str | None:
    """The rejected answer, if it is JSON, spelled as the chosen one is. What else is wrong with it
    may be the lesson.
    """
    try:
        value = strict_object(text) if text is not None else None
    except DuplicateKeyError:
        value = None
    if text is None or value is None:
        return text
    fitted, fits = fit(value, answer.json_schema, old.rename, old.values)
    new = canonical_json(fitted, list(answer.json_schema.get("properties", {})))
    if new == text or not (fits or same_json(text, new)):
        return text
    done += fits or [STANDARD]
    return new


# ---------------------------------------------------------------- labels


def _labels(
    context: FilterContext, form: Form, values: Mapping[str, str], like: FilterContext | None = None
) -> Conformed:
    """Labels in their usual spelling. form.labels: all that are labels; empty where any label may be meant."""
    said = _said(context)
    renamed = Counter[str]()
    for text, times in (said if like is None else _said(like)).group_by("text").len().iter_rows():
        renamed[values.get(text, text)] += times
    texts = said["text"].unique()
    own = {values.get(text, text): 0 for text in texts}  # a label that only these rows have is spelled as they have it
    usual = spellings((own | renamed).items())
    new = {text: usual.get(label := values.get(text, text), label) for text in texts}
    strange = {text for text in new if form.labels and folded_label(text) not in form.labels and text not in values}
    touched = said.filter(pl.col("text").is_in([text for text in new if new[text] != text or text in strange]))
    out = Conformed()
    for row in context.rows[touched["row"].unique().sort()].iter_rows(named=True):
        row_id, taught = row["row_id"], {number: text for number, text, _ in written_answers(row)}
        if odd := [number for number, text in taught.items() if text in strange]:
            evidence = {"message": odd[0], "characters": len(taught[odd[0]]), "labels": len(form.labels)}
            out.misfits[row_id] = ("answer is none of the labels", evidence)
            continue
        turns = enumerate(row["messages"], 1)
        messages = [{**turn, "content": new[taught[n]]} if n in taught else turn for n, turn in turns]
        rejected = new.get(row["rejected"], row["rejected"])
        before = [text for text in (*taught.values(), row["rejected"]) if new.get(text, text) != text]
        if before:
            out.rows.append({**row, "messages": messages, "rejected": rejected})
            out.changes[row_id] = sorted({VALUE if text in values else SPELLING for text in before})
    return out


def _said(context: FilterContext) -> pl.DataFrame:
    return pl.concat([context.written_answers, context.texts.filter(role=REJECTED)])


# ---------------------------------------------------------------- lists and prose


def _other_shapes(context: FilterContext, form: Form) -> Conformed:
    """Nothing is changed here: no list is prose with its marks taken away."""
    if form.name == "any":
        return Conformed()
    shape = shapes(pl.col("text"))
    other = shape == "object" if form.name == "prose" else shape != form.name
    odd = context.written_answers.filter(other).select("row", "number", shape=shape).sort("row", "number")
    first = {row: (number, shape) for row, number, shape in reversed(list(odd.iter_rows()))}
    out = Conformed()
    for place, row in zip(sorted(first), context.rows[sorted(first)].iter_rows(named=True), strict=True):
        number, is_now = first[place]
        asked = {n: question for n, _, question in taught_answers(row)}[number]
        if not (is_now == "object" and _ASKED_FOR.search(asked)):
            evidence = {"message": number, "form": is_now, "usual": form.name, "share": round(form.share, 4)}
            out.misfits[row["row_id"]] = ("answer has another form", evidence)
    return out
