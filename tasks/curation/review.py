"""review: write what a person should look at as a sheet, the rows first that a minute gains the most on.

Leaves review.csv and review.jsonl (tasks/reporting/review_sheet.py), one record a quarantined row. In `decision` goes
keep (it stays as it is), edit (after changing prompt, answer or rejected), drop, or suggested (the suggested answer
replaces the answer); `assay review apply` takes the sheet back in, and `decide`, right after ingest, does what was
decided.

Texts are as the step that held the row back saw them, so what redact took out is out; of rows that never came to it,
what it would take out is hidden as [email]. Every kind of dataset is treated alike; preference pairs have their
rejected answer beside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.batches import row_by_row
from tasks.core.decisions import BY_REVIEWERS, DROPPED, EDITED, Decisions, new_row
from tasks.core.handle import CURATED, LEDGER, QUARANTINE, Handle
from tasks.core.ledger import Outcome, changed, entries, entry
from tasks.core.row import as_message
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.core.text.display import number_of, visible
from tasks.core.work import StepDirs, StepResult
from tasks.facts.review import ReviewFacts, ReviewReason
from tasks.metrics.answer_schema import AnswerSettings
from tasks.personal_data.finders import PersonalData, suspect
from tasks.personal_data.hiding import mask_in_json, mask_personal_data
from tasks.reporting.ledger_in_words import in_words, rows_named
from tasks.reporting.review_order import Held, in_order, labels_of, seconds_of
from tasks.reporting.review_sheet import cells, check_of, write_csv, write_jsonl
from tasks.reporting.row_examples import texts_of

SHEETS = ("review.csv", "review.jsonl")
ORDER = (
    "Rows that name each other stand together. What comes first gains the most per minute: a row of a rare label "
    "gains more "
    "than one of a common label, and what is quickly read and decided costs less."
)
COLUMNS = (
    "order",
    "case",
    "decision",
    "note",
    "choices",
    "prompt",
    "answer",
    "rejected",
    "suggestion",
    "step",
    "reason",
    "why",
    "beside",
    "source",
    "line",
    "row_id",
    "check",
)


class ReviewSettings(Settings):
    """Where decisions are kept, and how the time that is left is estimated."""

    # Beside the recipe, so that what people decided is under the same version control as what they decided on.
    decisions: str = Field(default="decisions.jsonl", min_length=1)
    # Silent reading of English prose takes 238 on average (Brysbaert 2019, a review of 190 studies).
    words_per_minute: int = Field(default=240, ge=1)
    # An assumption, to be replaced by what your reviewers need: to see what is asked, make up one's mind and fill in a
    # cell.
    seconds_to_decide: float = Field(default=6, ge=0)
    # Rows in a sheet, the first in order; 5,000 short ones are some twenty hours. The rest comes once these are
    # decided.
    rows: int = Field(default=5_000, ge=1, le=1_000_000)


@row_by_row()
def decide(rows: pl.DataFrame, settings: ReviewSettings, decisions: Decisions) -> Outcome:
    """Do what was decided of rows, as soon as they are read. decisions: `changes` of them all, drops and edits.

    Evidence of each: reviewer, at, note, asked (the step that held it back), was (its reason). Decisions on rows that
    are not there do nothing: a row that left the export needs none.
    """
    said = {row_id: row.change for row_id, row in decisions.standing().items() if row.change}
    decided = rows.filter(pl.col("row_id").is_in(list(said))).to_dicts()
    dropped = [row for row in decided if said[row["row_id"]].decision == "drop"]
    pairs = [(row, new_row(row, said[row["row_id"]])) for row in decided if said[row["row_id"]].decision == "edit"]
    # A record that ingest took in as it was mended says it already.
    edited = [(old, new) for old, new in pairs if new != old]
    told = [entry(row, "dropped", DROPPED, **said[row["row_id"]].evidence) for row in dropped]
    told += [changed(old, new, EDITED, **said[old["row_id"]].evidence) for old, new in edited]
    moved = [row["row_id"] for row in (*dropped, *(old for old, _ in edited))]
    rest = rows.filter(~pl.col("row_id").is_in(moved))
    new = pl.DataFrame([row for _, row in edited], schema=rows.schema)
    return Outcome(pl.concat([rest, new]).sort("row_id"), entries("decide", told))


def review(
    place: StepDirs,
    settings: ReviewSettings,
    steps: list[Handle],
    dataset: Handle,
    answer: AnswerSettings,
    kind: RowKind,
    personal: PersonalData,
) -> StepResult:
    """Write the sheets of what `dataset` quarantined. steps: its row steps in order, as account was given them.

    Facts: rows, cases, minutes and reasons (step, reason, rows, minutes: left to review), shown (rows in the sheet),
    decided (rows by what a reviewer did with them), order, words_per_minute and seconds_to_decide (what minutes rest
    on).
    """
    held = _held(steps, dataset, personal)
    curated = labels_of(dataset.frame(CURATED), answer, kind)
    cases = in_order(held, curated, answer, settings.words_per_minute, settings.seconds_to_decide)
    placed = [(number, row) for number, case in enumerate(cases, 1) for row in case][: settings.rows]
    records = [
        {"order": order, **_record(row, case, curated.values, answer)} for order, (case, row) in enumerate(placed, 1)
    ]
    columns = [name for name in COLUMNS if name != "rejected" or kind.has_rejected]
    for name, write in zip(SHEETS, (write_csv, write_jsonl), strict=True):
        write(place.out / name, columns, records)
    facts = _facts(cases, settings, dataset, len(records))
    minutes = max(1, round(facts.minutes))
    line = f"{number_of(facts.rows, 'row')} to review in {number_of(facts.cases, 'case')}, about {minutes:,} min"
    line = line if facts.rows else "no rows to review"
    return StepResult("review", line, facts.written(), [one.written() for one in facts.reasons], len(held))


def _facts(cases: list[list[Held]], settings: ReviewSettings, dataset: Handle, shown: int) -> ReviewFacts:
    left: dict[tuple[str, str], list[float]] = {}  # seconds of each row
    for case in cases:
        for row, seconds in zip(
            case, seconds_of(case, settings.words_per_minute, settings.seconds_to_decide), strict=True
        ):
            left.setdefault((row.step, row.reason), []).append(seconds)
    minutes = {what: sum(one / 60 for one in seconds) for what, seconds in left.items()}
    ordered = sorted(minutes, key=lambda what: (-minutes[what], what))
    entries = dataset.frame(LEDGER).filter(pl.col("reason").is_in(BY_REVIEWERS))
    decided = dict(entries.group_by("reason").agg(pl.col("row_id").n_unique()).sort("reason").iter_rows())
    return ReviewFacts(
        rows=sum(map(len, left.values())),
        cases=len(cases),
        order=ORDER,
        decided=decided,
        minutes=round(sum(minutes[what] for what in ordered), 1),
        reasons=[
            ReviewReason(
                step=step, reason=reason, rows=len(left[step, reason]), minutes=round(minutes[step, reason], 1)
            )
            for step, reason in ordered
        ],
        words_per_minute=settings.words_per_minute,
        seconds_to_decide=settings.seconds_to_decide,
        shown=shown,
    )


# ---------------------------------------------------------------- one record


def _held(steps: Sequence[Handle], dataset: Handle, personal: PersonalData) -> list[Held]:
    """Every quarantined row with what a reviewer needs to see, personal data hidden."""
    why = dataset.frame(LEDGER).filter(pl.col("action") == "quarantined").select("row_id", "evidence")
    rows = dataset.frame(QUARANTINE).join(why, on="row_id").sort("row_id")
    place = {step.step: i for i, step in enumerate(steps)}
    found = []
    for (name,), part in rows.group_by("step", maintain_order=True):
        evidence = dict(zip(part["row_id"], map(json.loads, part["evidence"]), strict=True))
        named = {row_id for about in evidence.values() for row_id in rows_named(about)}
        others = texts_of(steps[place[str(name)] - 1], sorted(named)) if place[str(name)] and named else {}
        for row in part.iter_rows(named=True):
            texts = _texts(row["text"] or "", read=place[str(name)] > 0)
            beside = {row_id: what for row_id, what in rows_named(evidence[row["row_id"]]).items() if row_id in others}
            shown = [f"{what}:\n{_said(others[row_id])}" for row_id, what in beside.items()]
            found.append(
                Held(row, evidence[row["row_id"]], texts, "\n\n".join(shown), tuple(beside), place[str(name)] > 0)
            )
    return _safe(found, personal)


def _texts(text: str, read: bool) -> dict[str, str]:
    """prompt, answer and rejected, of the text that the quarantine holds. read: it is a row, not a
    record as it came.
    """
    if not read:
        return {"prompt": visible(text), "answer": "", "rejected": ""}
    said = json.loads(text)
    row = said if isinstance(said, dict) else {"messages": said}
    prompt, answer = cells([as_message(turn) for turn in row["messages"]])
    return {"prompt": prompt, "answer": answer, "rejected": row.get("rejected") or ""}


def _editable(row: Held) -> bool:
    """Whether the cells of a sheet can hold all that the row says: they have no place for tool calls."""
    return not (row.read and ('"tool_calls"' in row.row["text"] or '"tool_call_id"' in row.row["text"]))


def _said(messages: Sequence[dict[str, str]]) -> str:
    prompt, answer = cells(messages)
    return f"{prompt}\n→ {answer}"


def _safe(rows: list[Held], personal: PersonalData) -> list[Held]:
    """The rows with personal data hidden in all that is shown; only what could hold any is looked through."""
    texts = sorted({text for row in rows for text in (*row.texts.values(), row.beside)})
    shown = pl.DataFrame({"text": texts}, {"text": pl.String})  # which Polars cannot tell of no text at all
    could = shown.filter(suspect(pl.col("text"), personal))["text"]
    safe = dict(zip(shown["text"], shown["text"], strict=True)) | mask_personal_data(could, personal)
    return [
        Held(
            row.row,
            row.evidence if row.read else mask_in_json(row.evidence, personal),
            {name: safe[text] for name, text in row.texts.items()},
            safe[row.beside],
            row.others,
            row.read,
        )
        for row in rows
    ]


def _record(row: Held, case: int, values: dict[str, Any], answer: AnswerSettings) -> dict[str, Any]:
    suggestion = row.suggestion(values, answer) if _editable(row) else ""
    offered = {"keep": row.read, "edit": _editable(row), "drop": True, "suggested": bool(suggestion)}
    choices = [choice for choice, offer in offered.items() if offer]
    return {
        "case": case,
        "decision": "",
        "note": "",
        "choices": ", ".join(choices),
        **row.texts,
        "suggestion": suggestion,
        "step": row.step,
        "reason": row.reason,
        "why": in_words(row.evidence),
        "beside": row.beside,
        "source": row.row["source"],
        "line": row.row["line"],
        "row_id": row.row_id,
        "check": check_of(row.row_id, row.texts),
    }
