"""The ledger: what happened to each row, at which step, why, and on what evidence.

Invariant 1, checked at the end of every step by `check_balance`: rows in = kept + dropped + quarantined.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.core.home import digest_bytes
from tasks.core.row import Schema, content_json

LEDGER_SCHEMA: Schema = {
    "row_id": pl.String,
    "source": pl.String,
    "line": pl.Int64,
    "step": pl.String,
    "action": pl.Enum(["kept", "changed", "dropped", "quarantined"]),
    "reason": pl.String,
    "evidence": pl.String,  # JSON
    "before": pl.String,  # sha256 of content_json before a change
    "after": pl.String,
}
GONE = ("dropped", "quarantined")
ACTIONS = {"drop": "dropped", "quarantine": "quarantined"}  # what becomes of a row, by what a recipe calls it


@dataclass(frozen=True)
class Outcome:
    """What a row step gives back: the rows it keeps and one ledger entry a row it changed or let go.

    kept: ROW_SCHEMA, plus columns the step adds. ledger: LEDGER_SCHEMA, made with `entries`.
    raw: only from ingest, which sees rows that never become canonical: row_id and text of what it quarantined.
    """

    kept: pl.DataFrame
    ledger: pl.DataFrame
    raw: pl.DataFrame | None = None


class LedgerError(AssertionError):
    """A step lost, invented or double-counted rows: a bug in the step, never in the data."""


def entry(
    row: dict[str, Any], action: str, reason: str, *, before: str = "", after: str = "", **evidence: Any
) -> dict[str, Any]:
    """One ledger entry for `row` (needs row_id, source, line); evidence is any JSON value by name."""
    return {
        "row_id": row["row_id"],
        "source": row["source"],
        "line": row["line"],
        "action": action,
        "reason": reason,
        "evidence": json.dumps(evidence, ensure_ascii=False, sort_keys=True, default=str) if evidence else "{}",
        "before": before,
        "after": after,
    }


def changed(row: dict[str, Any], new: dict[str, Any], reason: str, **evidence: Any) -> dict[str, Any]:
    """The entry for a row that is now `new`, with the digests of what both say."""
    before, after = (digest_bytes(content_json(r).encode()) for r in (row, new))
    return entry(row, "changed", reason, before=before, after=after, **evidence)


def entries(step: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Ledger entries of one step as a frame, in a fixed order."""
    frame = pl.DataFrame([{**row, "step": step} for row in rows], schema=LEDGER_SCHEMA)
    return frame.sort("row_id", "action", "reason", "evidence")


def quarantine(before: pl.DataFrame | None, outcome: Outcome) -> pl.DataFrame:
    """The quarantined rows with their full text, for a person to review: row_id, source, line, step, reason, text."""
    held = outcome.ledger.filter(pl.col("action") == "quarantined").select("row_id", "source", "line", "step", "reason")
    if outcome.raw is not None:
        texts = outcome.raw.select("row_id", "text")
    elif before is not None:
        said = pl.struct("messages", "rejected", "weights", "calls").map_elements(content_json, return_dtype=pl.String)
        texts = before.join(held, on="row_id", how="semi").select("row_id", text=said)
    else:
        texts = pl.DataFrame(schema={"row_id": pl.String, "text": pl.String})
    return held.join(texts, on="row_id", how="left").sort("row_id")


def count_reasons(ledger: pl.DataFrame) -> dict[str, dict[str, int]]:
    """{action: {reason: rows}} of a ledger, in descending order."""
    return by_action(counted(ledger))


def counted(ledger: pl.DataFrame) -> pl.DataFrame:
    """action, reason, rows: of parts of a ledger that have no row in common, one below the other
    adds up to the whole.
    """
    return ledger.group_by("action", "reason").agg(pl.col("row_id").n_unique().cast(pl.Int64).alias("rows"))


def by_action(counts: pl.DataFrame) -> dict[str, dict[str, int]]:
    """What was `counted`, as {action: {reason: rows}} in descending order."""
    total = counts.group_by(pl.col("action").cast(pl.String), "reason").agg(pl.col("rows").sum())
    told: dict[str, dict[str, int]] = {}
    for action, reason, rows in total.sort("action", -pl.col("rows"), pl.col("reason")).iter_rows():
        told.setdefault(action, {})[reason] = rows
    return told


def check_balance(step: str, before: pl.DataFrame | None, outcome: Outcome) -> None:
    """Raise LedgerError unless every row in is kept or gone exactly once, with a reason.

    before: the rows the step was given; None for ingest, where what it read is what came in.
    """
    gone = outcome.ledger.filter(pl.col("action").cast(pl.String).is_in(GONE))["row_id"]
    after = pl.concat([outcome.kept["row_id"], gone])
    known = after if before is None else before["row_id"]
    problems = {
        "rows counted twice": after.len() - after.n_unique(),
        "rows lost": known.filter(~known.is_in(after.implode())).len(),
        "rows invented": after.filter(~after.is_in(known.implode())).len(),
        "entries without a reason": outcome.ledger.filter(pl.col("reason") == "").height,
    }
    if any(problems.values()):
        told = ", ".join(f"{n} {what}" for what, n in problems.items() if n)
        raise LedgerError(
            f"{step}: {told} ({known.len()} in, {outcome.kept.height} kept, {gone.len()} gone). "
            "This is a bug in the step; please report it with the ledger of the step before."
        )
