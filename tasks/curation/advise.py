"""advise: say, before anything is spent on training, what the data can support, and what to do where it cannot.

    made = advise(place, AdviseSettings(goal="capability"), dataset=dataset, answer=recipe.answer, kind=SFT,
                  prompt=recipe.prompt)

Rows are not asked for where steps hold such rows back: these are named first.

Nothing is stopped: a contract says what must be, advice says what is wise. sft and preference rows are looked at in
every topic, preference pairs also for whether longer is all that is preferred. Of classification rows, whose answer is
a label, the topics about the text of answers are left out.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.handle import CURATED, LEDGER, QUARANTINE, Handle
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.core.work import StepDirs, StepResult
from tasks.curation.advice import row_counts, row_texts
from tasks.curation.advice.row_counts import Advice, Goal, Removed
from tasks.curation.advice.specifics import prose
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.model.chat_template import PromptSettings
from tasks.relations.prompts import prompts

WORST_FIRST = ("warning", "note", "good")


class AdviseSettings(Settings):
    """What the model is to learn, and from when on something is worth a word."""

    # style: a manner or a fixed form (50 to 500 rows). capability: something new (1,000 to 10,000). instruction:
    # following instructions at large (50,000 and up). Unless said, the least is asked for: who wants more knows it.
    goal: Goal = "style"
    # Training rows below which a label is hardly learned; the demo's twelve intents are learned from some 15 each.
    label_rows: int = Field(default=10, ge=1)
    # Validation rows below which their loss says little: at 30, one row more or less wrong is 3 points.
    validation_rows: int = Field(default=30, ge=0)
    # Likeness of prompts that are versions of one another; looser than dedupe's 0.7, and that by which split keeps
    # groups.
    family_threshold: float = Field(default=0.5, gt=0, le=1)
    # Rows compared for it, which takes seconds; a hundred thousand drawn by chance tell the share to a third of a
    # point.
    family_rows: int = Field(default=100_000, ge=1)


def advise(
    place: StepDirs,
    settings: AdviseSettings,
    dataset: Handle,
    answer: AnswerSettings,
    kind: RowKind,
    prompt: PromptSettings,
) -> StepResult:
    """Look at the curated rows, topic by topic.

    Facts: goal, rows, warnings and notes (how many), advice: [{topic, level (good, note, warning), says, do (empty when
    good), rows (up to 20 row ids, the worst first), numbers}], the worst first. No text of a row is in it but its
    label.
    """
    rows = dataset.frame(CURATED)
    place.progress(0.1, f"looking at {rows.height:,} rows")
    removed = _removed(dataset, answer, kind)
    found = sorted(_advice(rows, removed, settings, answer, kind, prompt), key=lambda a: WORST_FIRST.index(a.level))
    counts = {level: sum(a.level == level for a in found) for level in WORST_FIRST}
    told = {"goal": settings.goal, "rows": rows.height, "warnings": counts["warning"], "notes": counts["note"]}
    table = [{"level": a.level, "topic": a.topic, "finding": a.says, "to do": a.do, "rows": len(a.rows)} for a in found]
    return StepResult(
        "advice", _line(found, counts), {**told, "advice": [asdict(a) for a in found]}, table, rows.height
    )


def _advice(
    rows: pl.DataFrame,
    removed: Removed,
    settings: AdviseSettings,
    answer: AnswerSettings,
    kind: RowKind,
    prompt: PromptSettings,
) -> list[Advice]:
    asked = _asked(rows, answer, kind)
    found = [
        row_counts.enough_rows(asked, settings.goal, removed),
        row_counts.system_prompts(asked, replaced=bool(prompt.system)),
        row_counts.label_counts(asked, settings.label_rows, removed),
        row_counts.label_spellings(asked),
        row_counts.conversations(asked, removed),
        row_counts.validation(asked, settings.validation_rows, removed),
    ]
    if not kind.answer_is_label:
        found += [row_texts.stated_facts(asked), row_texts.answer_lengths(asked), row_texts.repeated_answers(asked)]
    if kind.has_rejected:
        found += [row_texts.longer_is_better(asked)]
    if kind.compared_by == "prompt":  # one prompt with many pairs is as it should be
        found += [row_texts.prompt_families(asked, settings.family_threshold, settings.family_rows)]
    return [topic for topic in found if topic]


def _removed(dataset: Handle, answer: AnswerSettings, kind: RowKind) -> Removed:
    gone = dataset.frame(LEDGER).filter(pl.col("action") == "dropped", pl.col("step") == "select")
    held = dataset.frame(QUARANTINE).filter(pl.col("step") != "ingest")  # what ingest holds is no row yet
    answers = [_answers(text) for text in held["text"]]
    labelled = kind.answer_is_label or bool(answer.label)
    labels = Counter(label_of(said[-1], answer) for said in answers if said and labelled)
    named = {label: rows for label, rows in labels.items() if label}
    return Removed(held.height, sum(len(said) > 1 for said in answers), gone.height, named)


def _answers(text: str) -> list[str]:
    """The answers of a row as the quarantine holds it."""
    said = json.loads(text)
    turns = said["messages"] if isinstance(said, dict) else said
    return [turn.get("content") or "" for turn in turns if turn["role"] == "assistant"]


def _asked(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> pl.DataFrame:
    """The frame that topics look at (tasks/curation/advice/row_counts.py)."""
    ordered = rows.sort("row_id").select("row_id", "split", "messages", "rejected")
    texts = ordered.join(prompts(rows.drop("meta")), on="row_id", maintain_order="left")
    # Without meta: tools on offer are no system message that one could make alike.
    labelled = kind.answer_is_label or bool(answer.label)
    classes = _classes(answer)
    said = pl.col("answer").map_elements(lambda text: prose(text, classes), return_dtype=pl.String)
    label = pl.col("answer").map_elements(lambda text: label_of(text, answer), return_dtype=pl.String)
    return texts.with_columns(
        turns=pl.col("messages").list.eval(pl.element().struct.field("role") == "assistant").list.sum().cast(pl.Int64),
        said=said if answer.json_schema else "answer",
        label=label if labelled else pl.lit(None, pl.String),
    ).drop("messages")


def _classes(answer: AnswerSettings) -> frozenset[str]:
    """The fields of an answer whose value is one of a few: its label, what is graded, what the schema lists."""
    properties: dict[str, Any] = answer.json_schema.get("properties", {})
    listed = {name for name, rule in properties.items() if isinstance(rule, dict) and {"enum", "const"} & rule.keys()}
    return frozenset({answer.label, *answer.graded, *listed})


def _line(found: list[Advice], counts: dict[str, int]) -> str:
    said = [f"{counts[level]} {level}{'s' * (counts[level] > 1)}" for level in ("warning", "note") if counts[level]]
    if not said:
        return f"good in all {len(found)} topics"
    return f"{' and '.join(said)} in {len(found)} topics: " + ", ".join(a.topic for a in found if a.level != "good")
