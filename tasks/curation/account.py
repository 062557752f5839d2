"""account: close the books of a run. Every raw row is kept, dropped or quarantined, once, or the run stops here.

Leaves the dataset: curated.parquet (the rows to train on), ledger.parquet (every step's entries, and one `kept` entry
for each row that came through), quarantine.parquet (what a person could mend, with its text), reference.parquet (a fair
draw of the rows before they were compared with one another, which watch compares new rows with).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from tasks.core.batches import Growing, batches
from tasks.core.decisions import Decisions
from tasks.core.facts import RowFacts
from tasks.core.handle import CURATED, LEDGER, QUARANTINE, REFERENCE, ROWS, Handle
from tasks.core.ledger import GONE, LEDGER_SCHEMA, LedgerError, count_reasons
from tasks.core.row import ROW_SCHEMA
from tasks.core.settings import Settings
from tasks.core.work import StepDirs, StepResult
from tasks.facts.dataset import ClosedStep, DatasetFacts, DatasetTold, StepRows
from tasks.metrics.drift import drawn

if TYPE_CHECKING:
    from tasks.data.sources import RawFile

KEPT = "passed every step"
NONE = Decisions()
LAST_ALONE = "format"  # the last step that judges each row by itself; later, a row's fate hangs on the other rows


class AccountSettings(Settings):
    """Nothing to set: the books either balance or they do not."""


def account(
    place: StepDirs,
    settings: AccountSettings,
    steps: list[Handle],
    files: Sequence[RawFile] = (),
    decisions: Decisions = NONE,
) -> StepResult:
    """Close the books over `steps`, handles of row steps in the order they ran, the first of them ingest.

    files, decisions: what the rows were read from and what people had decided, told beside the dataset, not part of its
    digest. Raises LedgerError unless raw = kept + dropped + quarantined and each step took over what the one before it
    kept.
    """
    last = steps[-1].folder / ROWS
    ledger = pl.concat([step.frame(LEDGER) for step in steps])
    waterfall = [_counted(step) for step in steps]
    _check(waterfall, pl.read_parquet(last, columns=["row_id"])["row_id"], ledger)
    with Growing(place.out / CURATED) as curated, Growing(place.out / LEDGER) as told:
        told.add(ledger)
        for rows in batches(last):
            curated.add(rows)
            told.add(_kept(rows))
    pl.concat([step.frame(QUARANTINE) for step in steps]).sort("row_id").write_parquet(place.out / QUARANTINE)
    alone = next((step for step in steps if step.step == LAST_ALONE), steps[-1])
    # The first by row_id.
    drawn(next(batches(alone.folder / ROWS))).select(*ROW_SCHEMA).write_parquet(place.out / REFERENCE)
    facts = _facts(waterfall, ledger, steps)
    line = "{raw:,} raw = {kept:,} kept + {dropped:,} dropped + {quarantined:,} quarantined".format(**facts.totals)
    origin = DatasetTold(sources={file.name: file.digest for file in files}, decisions=len(decisions.made))
    table = [step.written() for step in waterfall]
    return StepResult("dataset", line, facts.written(), table, facts.kept, origin.written())


def _counted(step: Handle) -> StepRows:
    """One row of the waterfall; a row changed for two reasons in a step is one changed row."""
    facts, ledger = RowFacts.of(step), step.frame(LEDGER)
    rows = {action: ledger.filter(pl.col("action") == action)["row_id"].n_unique() for action in (*GONE, "changed")}
    return StepRows(step=step.step, came=facts.came, kept=facts.kept, **rows)


def _kept(curated: pl.DataFrame) -> pl.DataFrame:
    """An entry a row, as `entries` makes them; by Polars: 90,000 took 0.36 s and 67 MB as Python objects, and take 4
    ms.
    """
    evidence = pl.concat_str(pl.lit('{"split": "'), "split", pl.lit('"}'))
    same = {"step": "account", "action": "kept", "reason": KEPT, "before": "", "after": ""}
    told = curated.select(
        "row_id", "source", "line", evidence=evidence, **{name: pl.lit(text) for name, text in same.items()}
    )
    return told.select(pl.col(name).cast(kind) for name, kind in LEDGER_SCHEMA.items()).sort("row_id")


def _facts(waterfall: list[StepRows], ledger: pl.DataFrame, steps: Sequence[Handle]) -> DatasetFacts:
    return DatasetFacts(
        waterfall=waterfall,
        raw=waterfall[0].came,
        kept=waterfall[-1].kept,
        dropped=sum(step.dropped for step in waterfall),
        quarantined=sum(step.quarantined for step in waterfall),
        reasons=count_reasons(ledger.with_columns(reason=pl.concat_str("step", pl.lit(": "), "reason"))),
        steps=[ClosedStep(step=step.step, digest=step.digest) for step in steps],
    )


def _check(waterfall: list[StepRows], curated: pl.Series, ledger: pl.DataFrame) -> None:
    """curated: row ids."""
    gone = ledger.filter(pl.col("action").is_in(GONE))["row_id"]
    raw = waterfall[0].came
    after = pl.concat([curated, gone])
    problems = [
        f"{step.step}: {step.came} in, {step.kept} kept, {step.dropped} dropped, {step.quarantined} quarantined"
        for step in waterfall
        if step.came != step.kept + step.dropped + step.quarantined
    ]
    problems += [
        f"{later.step} took {later.came} rows, but {former.step} kept {former.kept}"
        for former, later in pairwise(waterfall)
        if later.came != former.kept
    ]
    problems += [f"{raw} raw, but {after.len()} kept or gone"] if raw != after.len() else []
    problems += [f"{twice} rows kept or gone more than once"] if (twice := after.len() - after.n_unique()) else []
    if problems:
        raise LedgerError("account: the books do not balance: " + "; ".join(problems) + ". This is a bug in a step.")
