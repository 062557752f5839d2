"""Curation's row steps as plain functions in the flow's order, on rows or files, with what became of each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tasks.core.ledger import GONE, Outcome, check_balance
from tasks.core.row_kind import RowKind
from tasks.curation.clean import CleanSettings, clean
from tasks.curation.conflicts import ConflictSettings, conflicts
from tasks.curation.decontaminate import DecontaminateSettings, decontaminate
from tasks.curation.dedupe import DedupeSettings, dedupe
from tasks.curation.filter import FilterSettings, filter_rows
from tasks.curation.format import FormatSettings, format_answers
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.curation.label_errors import LabelErrorSettings, label_errors
from tasks.curation.redact import RedactSettings, redact
from tasks.metrics.answer_schema import AnswerSettings
from tests.benchmarks.quality_defects import Row


@dataclass(frozen=True)
class Plan:
    """What a recipe would say of the rows, all else at its default."""

    kind: RowKind
    answer: AnswerSettings = field(default_factory=AnswerSettings)
    format: FormatSettings = field(default_factory=FormatSettings)


@dataclass(frozen=True)
class Run:
    """raw: the rows as ingested. kept: as they came out. ledger: of all steps."""

    raw: pl.DataFrame
    kept: pl.DataFrame
    ledger: pl.DataFrame

    def events(self) -> dict[int, list[str]]:
        """{line: each entry about it as `step: reason`}; entries that only note that a row was kept are left out."""
        told: dict[int, list[str]] = {}
        for line, step, reason in (
            self.ledger.filter(pl.col("action") != "kept").select("line", "step", "reason").iter_rows()
        ):
            told.setdefault(line, []).append(f"{step}: {reason}")
        return told

    def texts(self) -> dict[int, Row]:
        """{line: what is kept of it}."""
        return {line: pair(messages) for line, messages in self.kept.select("line", "messages").iter_rows()}

    def gone(self) -> set[int]:
        return set(self.ledger.filter(pl.col("action").cast(pl.String).is_in(GONE))["line"])


def pair(messages: list[dict[str, str]]) -> Row:
    return messages[0]["content"], messages[-1]["content"]


def write(rows: Sequence[Row], plan: Plan, file: Path) -> Path:
    """Rows as JSONL, a line each."""
    label = plan.kind.name == "classification"
    with file.open("w", encoding="utf-8") as lines:
        for asked, said in rows:
            turns = {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
            lines.write(json.dumps({"text": asked, "label": said} if label else turns) + "\n")
    return file


def ingested(file: Path, plan: Plan) -> Outcome:
    return ingest(find_sources([Source(path=file.name)], file.parent), IngestSettings(), plan.kind)


def curated(file: Path, plan: Plan, holdout: pl.DataFrame) -> Run:
    """Every step of flows/curate.py that lets go of rows, from ingest to decontaminate; the balance is checked after
    each.
    """
    read = ingested(file, plan)
    rows, told = read.kept, [read.ledger]
    for name, outcome in _steps(rows, plan, holdout):
        check_balance(name, rows, outcome)
        rows = outcome.kept
        told.append(outcome.ledger)
    return Run(read.kept, rows, pl.concat(told))


def _steps(rows: pl.DataFrame, plan: Plan, holdout: pl.DataFrame) -> Iterator[tuple[str, Outcome]]:
    kind, answer = plan.kind, plan.answer
    done = clean(rows, CleanSettings())
    yield "clean", done
    done = redact(done.kept, RedactSettings())
    yield "redact", done
    done = filter_rows(done.kept, FilterSettings(), kind)
    yield "filter", done
    done = format_answers(done.kept, plan.format, kind, answer)
    yield "format", done
    done = conflicts(done.kept, ConflictSettings(), answer, kind)
    yield "conflicts", done
    done = dedupe(done.kept, DedupeSettings(), kind, answer)
    yield "dedupe", done
    done = label_errors(done.kept, LabelErrorSettings(policy="quarantine"), answer, kind)
    yield "label_errors", done
    yield "decontaminate", decontaminate(done.kept, DecontaminateSettings(), holdout, kind=kind, answer=answer)
