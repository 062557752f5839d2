"""`assay diff RUN_A RUN_B`: what changed from one dataset to another: rows added, gone and changed, by reason.

    print(tell(diff("previous", "newest")))    # any names of datasets (flows/run/dataset_history.py)

A row is the same row where its raw content is the same (row_id), so a row that someone corrected in the source is one
row gone and one added. The reasons are those of the ledgers: what B says of a row that only A has, and what A had said
of one that only B has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from flows.run.dataset_history import SHORT, STEP, find_dataset
from tasks.core.handle import CURATED, LEDGER, Handle
from tasks.core.ledger import GONE
from tasks.facts.dataset import DatasetFacts

NAMED = 3  # row ids a reason: enough to ask `assay why` about
DIGITS = 12
KINDS = {
    "added": "only in the second",
    "gone": "only in the first",
    "changed": "in both, saying something else",
    "moved": "in both, on the other side of the split",
    "elsewhere": "in neither, but with another end",
}


@dataclass(frozen=True)
class Reason:
    """How many rows share a reason, and the first of them by row_id."""

    says: str
    rows: int
    row_ids: list[str]


@dataclass(frozen=True)
class Difference:
    """From dataset `a` to `b` (digests). counts: (name, in a, in b). reasons: by kind (KINDS), most rows first."""

    a: str
    b: str
    counts: list[tuple[str, int, int]]
    reasons: dict[str, list[Reason]]

    @property
    def rows(self) -> dict[str, int]:
        """By kind, how many rows."""
        return {kind: sum(reason.rows for reason in reasons) for kind, reasons in self.reasons.items()}


def diff(a: str, b: str) -> Difference:
    """What changed from dataset `a` to dataset `b`. Raises DataError for a name that means no dataset, or several."""
    first, second = find_dataset(a), find_dataset(b)
    totals, totals_b = (DatasetFacts.of(handle).totals for handle in (first, second))
    ends = _ends(first).join(_ends(second), on="row_id", how="full", coalesce=True, suffix="_b").sort("row_id")
    kept, kept_b = (pl.col(name).eq_missing(pl.lit("kept")) for name in ("action", "action_b"))
    both = ends.filter(kept & kept_b)
    reasons = {
        "added": _reasons(ends.filter(~kept & kept_b), _told("end", "new in the raw data", "was ")),
        "gone": _reasons(ends.filter(kept & ~kept_b), _told("end_b", "no longer in the raw data", "now ")),
        "changed": _changed(both, first, second),
        "moved": _reasons(
            both.filter(pl.col("split") != pl.col("split_b")), pl.concat_str("split", pl.lit(" to "), "split_b")
        ),
        "elsewhere": _reasons(ends.filter(~kept & ~kept_b & pl.col("end").ne_missing(pl.col("end_b"))), _from_to()),
    }
    counts = [(name, count, totals_b[name]) for name, count in totals.items()]
    return Difference(first.digest, second.digest, counts, reasons)


def tell(difference: Difference) -> str:
    """The difference as lines of text."""
    lines = [f"{'':<14}{difference.a[:SHORT]:>18}{difference.b[:SHORT]:>18}"]
    lines += [f"{name:<14}{a:>18,}{b:>18,}{f'{b - a:+,}' if a != b else '':>10}" for name, a, b in difference.counts]
    for kind, told in KINDS.items():
        if reasons := difference.reasons[kind]:
            lines += ["", f"{difference.rows[kind]:,} {kind}: {told}"]
            lines += [f"{reason.rows:>9,}  {reason.says}  ({_named(reason)})" for reason in reasons]
    if not any(difference.reasons.values()):
        lines += ["", "no row was added, no row is gone, none changed"]
    return "\n".join(lines)


def _named(reason: Reason) -> str:
    ids = ", ".join(row_id[:DIGITS] for row_id in reason.row_ids)
    return f"{ids}, ..." if reason.rows > len(reason.row_ids) else ids


# ---------------------------------------------------------------- where rows ended


def _ends(dataset: Handle) -> pl.DataFrame:
    """row_id, action, end (what the ledger says of it last), split, said (all that the row says; null unless kept)."""
    ledger = pl.scan_parquet(dataset.folder / LEDGER).with_columns(pl.col("action").cast(pl.String))
    final = ledger.filter((pl.col("step") == STEP) | pl.col("action").is_in(GONE))
    end = pl.concat_str("action", pl.lit(" by "), "step", pl.lit(": "), "reason")
    curated = pl.scan_parquet(dataset.folder / CURATED)
    # Runs before there were tool calls did not write it.
    calls = ["calls"] if "calls" in curated.collect_schema() else []
    called = [pl.col(name).list.join("\n", ignore_nulls=True).fill_null("") for name in calls]
    said = pl.concat_str(pl.struct("messages", "rejected", "weights").struct.json_encode(), *called)
    curated = curated.select("row_id", "split", said=said)
    return final.select("row_id", "action", end=end).join(curated, on="row_id", how="left").collect()


def _told(column: str, nothing: str, before: str) -> pl.Expr:
    return pl.when(pl.col(column).is_null()).then(pl.lit(nothing)).otherwise(pl.concat_str(pl.lit(before), column))


def _from_to() -> pl.Expr:
    was = pl.col("end").fill_null("not in the raw data")
    return pl.concat_str(was, pl.lit("; now "), pl.col("end_b").fill_null("not in the raw data"))


def _changed(both: pl.DataFrame, first: Handle, second: Handle) -> list[Reason]:
    """By what a step has done to them in one run only; a step that did the same in both is no reason."""
    rows = both.filter(pl.col("said") != pl.col("said_b")).select("row_id")
    done = [_changes(handle, rows) for handle in (first, second)]
    sides = [(done[1], done[0], "now "), (done[0], done[1], "no longer ")]
    same = ["row_id", "what", "before", "after"]
    told = [
        ours.join(theirs, on=same, how="anti").select("row_id", says=pl.lit(word) + pl.col("what"))
        for ours, theirs, word in sides
    ]
    found = pl.concat(told).unique().sort("row_id", "says")
    named = found.group_by("row_id").agg(pl.col("says").str.join("; "))
    return _reasons(
        rows.join(named, on="row_id", how="left"), pl.col("says").fill_null("the step's code or settings differ")
    )


def _changes(dataset: Handle, rows: pl.DataFrame) -> pl.DataFrame:
    entries = pl.read_parquet(dataset.folder / LEDGER).filter(pl.col("action") == "changed")
    what = pl.concat_str("step", pl.lit(": "), "reason")
    return entries.join(rows, on="row_id", how="semi").select("row_id", "before", "after", what=what)


def _reasons(rows: pl.DataFrame, says: pl.Expr) -> list[Reason]:
    grouped = rows.select("row_id", says=says).group_by("says").agg(pl.col("row_id").sort())
    found: list[dict[str, Any]] = grouped.to_dicts()
    reasons = [Reason(one["says"], len(one["row_id"]), one["row_id"][:NAMED]) for one in found]
    return sorted(reasons, key=lambda reason: (-reason.rows, reason.says))
