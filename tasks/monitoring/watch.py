"""watch: what is new since the champion learnt. First a look at digests, which reads no row; then the rows themselves.

    seen = look(text, files, decisions, champion, challenger)
    new = work_step(news, plan.watch, rows=ingested, snapshot=work_step(snapshot, plan.watch, champion=seen.champion))

tasks/monitoring/compare.py and tasks/monitoring/rescore.py measure the new rows; tasks/monitoring/retrain_rule.py
decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from tasks.core.handle import CURATED, LEDGER, ROWS, Handle
from tasks.core.home import digest_json
from tasks.core.work import StepDirs, StepResult
from tasks.facts.dataset import DatasetFacts
from tasks.facts.watched import GainedFacts, JoinedFacts, NewsFacts, SnapshotFacts
from tasks.monitoring.retrain_rule import WatchSettings
from tasks.registry.champion import Champion, fill

if TYPE_CHECKING:
    from tasks.data.sources import RawFile

SHOWN = 3  # sources that a line names


@dataclass(frozen=True)
class Look:
    """What the sources say without a row being read. digest: names this very data, so that it is tried once."""

    digest: str
    champion: Champion | None
    same: list[str]
    changed: list[str]
    gone: list[str]
    decided: int  # what people have decided since
    trained: Champion | None  # a challenger that has learnt from these very sources

    @property
    def unchanged(self) -> bool:
        return not (self.changed or self.gone or self.decided)

    @property
    def line(self) -> str:
        if self.champion is None:
            return "No version is registered yet"
        named = (("new or changed", self.changed), ("no longer there", self.gone))
        parts = [
            f"{what}: {', '.join(names[:SHOWN])}{', ...' * (len(names) > SHOWN)}" for what, names in named if names
        ]
        parts += [f"{self.decided:,} more decisions by reviewers"] if self.decided else []
        now = len(self.same) + len(self.changed)
        return "; ".join(
            [f"{len(self.same):,} of {now:,} sources are as {self.champion.title} learnt from them", *parts]
        )


def look(
    text: str, files: Sequence[RawFile], decisions: int, champion: Champion | None, challenger: Champion | None
) -> Look:
    """Compare the sources' digests with those of the champion's training snapshot. text: the recipe's."""
    now = {file.name: file.digest for file in files}
    then = champion.sources if champion else {}
    return Look(
        digest=digest_json([text, now, decisions]),
        champion=champion,
        same=sorted(name for name, digest in now.items() if then.get(name) == digest),
        changed=sorted(name for name, digest in now.items() if then.get(name) != digest),
        gone=sorted(then.keys() - now.keys()),
        decided=max(0, decisions - champion.decisions) if champion else 0,
        trained=challenger if challenger and (challenger.sources, challenger.decisions) == (now, decisions) else None,
    )


def snapshot(place: StepDirs, settings: WatchSettings, champion: Champion) -> StepResult:
    """What the champion learnt from, from ASSAY_HOME or the registry: what tasks/registry/champion.py finds of it."""
    came = fill(place.out, champion)
    dataset = place.out / "dataset.json"
    rows = DatasetFacts.read(dataset).kept if dataset.exists() else 0
    line = f"{champion.title} learnt from {rows:,} rows" + ("" if CURATED in came else ", which are not kept")
    return StepResult("snapshot", line, SnapshotFacts(files=sorted(came)).written(), rows=rows, told={"from": came})


def news(place: StepDirs, settings: WatchSettings, rows: Handle, snapshot: Handle) -> StepResult:
    """Leave the rows that the snapshot never had, by their id as they came; a further copy of one
    has an id of its own.
    """
    frame, ledger = rows.frame(), snapshot.frame(LEDGER).filter(pl.col("action") != "changed")
    known = ledger.select("row_id").unique()
    new = frame.join(known, on="row_id", how="anti").sort("row_id")
    new.write_parquet(place.out / ROWS)
    gone = (
        ledger.filter(pl.col("step") != rows.step).select("row_id").unique().join(frame, on="row_id", how="anti").height
    )
    unread = rows.frame(LEDGER).filter(pl.col("action") != "changed").join(known, on="row_id", how="anti").height
    line = f"{new.height:,} of {frame.height:,} rows are new; {gone:,} of the snapshot are no longer there"
    line += f"; {unread:,} new records cannot be read" if unread else ""
    by_source = new.group_by("source").len("rows").sort("source")
    table = [{"source": source, "new rows": count} for source, count in by_source.iter_rows()]
    facts = NewsFacts(new=new.height, gone=gone, unread=unread)
    return StepResult("rows", line, facts.written(), table, new.height)


def joined(place: StepDirs, settings: WatchSettings, snapshot: Handle, new: Handle) -> StepResult:
    """The new rows and the snapshot's curated ones, where they are kept, for the steps that compare rows with one
    another.
    """
    fresh = new.frame()
    kept = snapshot.frame(CURATED) if CURATED in SnapshotFacts.of(snapshot).files else fresh.clear()
    # An old snapshot has no `calls`.
    both = pl.concat([kept, fresh.join(kept, on="row_id", how="anti")], how="diagonal")
    both = both.select(fresh.columns).sort("row_id")
    both.write_parquet(place.out / ROWS)
    line = f"{kept.height:,} rows of the snapshot and {both.height - kept.height:,} new ones"
    return StepResult("rows", line, JoinedFacts(kept=kept.height).written(), rows=both.height)


def gained(place: StepDirs, settings: WatchSettings, rows: Handle, both: Handle, new: Handle) -> StepResult:
    """Of the new rows, those that are left after rows were compared with one another.

    rows: what is left of `both`, which joined made. Facts: more, the rows that training would have more than before; a
    new row that takes an older one's place, saying the same better, adds none.
    """
    left = rows.frame().join(new.frame().select("row_id"), on="row_id", how="semi").sort("row_id")
    left.write_parquet(place.out / ROWS)
    more = max(0, rows.rows - JoinedFacts.of(both).kept)
    line = (
        f"{left.height:,} of {new.rows:,} new rows neither copy nor contradict another; {more:,} rows more to train on"
    )
    return StepResult("rows", line, GainedFacts(more=more).written(), rows=left.height)
