"""Artifacts of a run for tests that read its books: written by the step wrapper's own code, without a Prefect server.

raw = step("ingest", None, Outcome(rows([...]), entries("ingest", [])))
dataset = close([raw, ...])                                  # by the real account; the last step has a column `split`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from tasks.core.decisions import Decisions, honoured
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, commit, digest_bytes, new_artifact
from tasks.core.ledger import Outcome, check_balance, entries, entry
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.step import _write_rows
from tasks.core.work import StepDirs, StepResult
from tasks.curation.account import AccountSettings, account

Row = dict[str, Any]
Verdict = tuple[str, str, dict[str, Any]] | None  # action, reason, evidence


def row(text: str, answer: str = "Yes.", **columns: Any) -> Row:
    """A canonical row whose id is of its text and answer."""
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    given = {"source": "raw.jsonl", "line": 1, "rejected": None, "weights": None, "meta": "{}", "messages": said}
    return {"row_id": digest_bytes(f"{text}|{answer}".encode()), **given, **columns}


def rows(told: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(told), schema=ROW_SCHEMA)


def artifact(name: str, fill: Callable[[StepDirs], StepResult]) -> Handle:
    """What the wrapper does around a step, and nothing else."""
    with new_artifact(name) as out:
        made = fill(StepDirs(out, out.parent, Progress(name)))
        (out / FACTS).write_text(json.dumps(made.facts))
        (out / TOLD).write_text(json.dumps({"line": made.line, "table": made.table, **made.told}))
        path, digest = commit(out, name)
    return Handle.of(path, step=name, kind=made.kind, digest=digest, rows=made.rows)


def step(name: str, before: Handle | None, outcome: Outcome, decisions: Decisions | None = None) -> Handle:
    """A row step's artifact, balance checked, with people's word above it."""
    came = before.frame() if before else None
    asked = (decisions or Decisions()).asked_by(name)
    settled = honoured(name, came, outcome, asked) if asked.made else outcome
    check_balance(name, came, settled)
    return artifact(name, lambda place: _write_rows(place.out, name, [(came, settled)]))


def judged(
    name: str, before: Handle, judge: Callable[[Row], Verdict], decisions: Decisions | None = None, **columns: pl.Expr
) -> Handle:
    """A row step that lets go of the rows that `judge` gives a verdict on."""
    frame = before.frame()
    verdicts = {one["row_id"]: found for one in frame.to_dicts() if (found := judge(one))}
    told = [
        entry(one, found[0], found[1], **found[2]) for one in frame.to_dicts() if (found := verdicts.get(one["row_id"]))
    ]
    kept = frame.filter(~pl.col("row_id").is_in(list(verdicts))).with_columns(**columns)
    return step(name, before, Outcome(kept, entries(name, told)), decisions)


def close(steps: list[Handle]) -> Handle:
    return artifact("account", lambda place: account(place, AccountSettings(), steps))
