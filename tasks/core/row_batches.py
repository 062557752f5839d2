"""What a row step makes of its rows, batch by batch, checked and written: the part of the wrapper that touches rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.batches import BATCH, Growing, batches, learning_of
from tasks.core.decisions import Decisions, honoured
from tasks.core.handle import LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.ledger import Outcome, by_action, check_balance, counted, quarantine
from tasks.core.process.progress import Progress

# Rows as they came (None: the step reads what is no row yet), what became of them.
BatchOutcome = tuple[pl.DataFrame | None, Outcome]


def batch_outcomes(
    name: str,
    step: Callable[..., Outcome],
    rows: Handle | None,
    given: dict[str, Any],
    asked: Decisions,
    progress: Progress,
) -> Iterator[BatchOutcome]:
    """The outcome of each batch in the order of the row ids; a step that compares rows is given one batch, of all rows.

    given: its settings and other inputs by name. asked: what people decided of rows that it holds back.
    Raises LedgerError when a row of a batch is unaccounted for.
    """
    learn, done = learning_of(step), 0
    if rows is not None and learn is not None:
        given = {**given, **learn(batches(rows.folder / ROWS), **given)}
        parts: Iterator[pl.DataFrame | None] = batches(rows.folder / ROWS)
    else:
        parts = iter([None if rows is None else rows.frame()])
    for part in parts:
        outcome = step(**given) if part is None else step(rows=part, **given)
        if asked.made:
            outcome = honoured(name, part, outcome, asked)
        check_balance(name, part, outcome)
        yield part, outcome
        done += 0 if part is None else part.height
        if rows is not None and rows.rows > BATCH:
            progress(done / rows.rows, f"{done:,} of {rows.rows:,} rows")


def write_rows(out: Path, outcomes: Iterable[BatchOutcome]) -> tuple[int, dict[str, dict[str, int]]]:
    """Write the kept rows, the ledger and the quarantine into `out`; returns how many are kept, and count_reasons'
    counts.
    """
    rows, reasons = 0, []
    with Growing(out / ROWS) as kept, Growing(out / LEDGER) as ledger, Growing(out / QUARANTINE) as held:
        for before, outcome in outcomes:
            kept.add(outcome.kept.sort("row_id"))
            ledger.add(outcome.ledger)
            held.add(quarantine(before, outcome))
            reasons.append(counted(outcome.ledger))
            rows += outcome.kept.height
    return rows, by_action(pl.concat(reasons))
