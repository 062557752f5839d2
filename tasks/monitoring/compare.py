"""compare: new rows beside the champion's training snapshot, figure by figure, each with what the recipe's rule makes
of it.

Both sides are rows as they are after the steps that judge each row alone: what later steps leave depends on how many
rows there are, so that a small batch would differ from a large one by that alone. Tests and effects:
tasks/metrics/drift.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from data_contracts.contract import Contract
from tasks.core.handle import CURATED, REFERENCE, Handle
from tasks.core.row_kind import RowKind
from tasks.core.text.display import short
from tasks.core.work import StepDirs, StepResult
from tasks.facts.contract import ContractFacts
from tasks.facts.dataset import DatasetFacts
from tasks.facts.watched import CompareFacts, Comparison, SnapshotFacts
from tasks.metrics import drift
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.monitoring.retrain_rule import WatchSettings
from tasks.relations.labels import labelled
from tasks.relations.prompts import prompts

SHOWN = 5  # words, labels or expectations that a line names
SHOWN_CHARACTERS = 30  # of a label
LEAST_NEW_LABEL = 3  # rows: one or two may be slips of the pen, and of what was held back also somebody's own words
NOT_KEPT = (
    "not compared: the rows it learnt from are neither in the registry (register: keep_rows) nor in this ASSAY_HOME"
)


def compare(
    place: StepDirs,
    settings: WatchSettings,
    snapshot: Handle,
    came: Handle,
    new: Handle | None,
    contract: Contract,
    checked: Handle | None,
    answer: AnswerSettings,
    kind: RowKind,
) -> StepResult:
    """came: new rows as they came. new: those left by the steps that judge each alone; None if none is left. checked:
    what the contract says of the rows that training would gain, measured with every expectation as a warning.

    Facts: rows, comparisons (as Comparison has them), broken (which expectations of severity block do not hold, in
    words).
    """
    found = list(_held_back(snapshot, came, new))
    if new and REFERENCE in SnapshotFacts.of(snapshot).files:
        found += _drifts(settings, snapshot.frame(REFERENCE), new.frame(), answer, kind)
        found += _labels_unknown(settings, snapshot, came.frame(), new.frame(), answer, kind)
    elif new:
        found.append(
            Comparison(what="lengths, words, labels", snapshot="not kept", new=f"{new.rows:,} rows", told=NOT_KEPT)
        )
    broken: list[str] = []
    if checked:
        told, broken = _contract(snapshot, checked, contract)
        found += told
    drifted = [c.what for c in found if c.found]
    quiet = "no drift found" if any(c.test for c in found) else "compared with no row of the snapshot"
    line = f"{came.rows:,} new rows: " + (f"other than the snapshot in {', '.join(drifted)}" if drifted else quiet)
    line += ", and they break the contract" if broken else ""
    facts = CompareFacts(rows=came.rows, comparisons=found, broken="; ".join(broken))
    return StepResult("comparison", line, facts.written(), table(facts), came.rows)


def table(facts: CompareFacts) -> list[dict[str, Any]]:
    """The comparisons as the Prefect page shows them: five columns or so, and the rest by scrolling."""
    return [
        {
            "compared": c.what,
            "result": c.told,
            "snapshot": c.snapshot,
            "new rows": c.new,
            "effect": f"{c.effect:.3f} (limit {c.limit:g})" if c.rule else "",
            "p-value": f"{c.p:.3f}" if c.test else "",
            "test": c.test,
            "statistic": f"{c.statistic:.3f}" if c.test else "",
        }
        for c in facts.comparisons
    ]


def _held_back(snapshot: Handle, came: Handle, new: Handle | None) -> Iterator[Comparison]:
    """The share of rows that the steps which judge each alone do not let through."""
    left = new.rows if new else 0
    now = (came.rows - left) / max(1, came.rows)
    told = f"{came.rows - left:,} of {came.rows:,} new rows do not come through the steps that judge each row alone"
    yield Comparison(what="rows held back", snapshot=_held_before(snapshot), new=f"{now:.1%}", told=told)


def _held_before(snapshot: Handle) -> str:
    file = snapshot.folder / "dataset.json"
    waterfall = DatasetFacts.read(file).waterfall if file.exists() else []
    kept = {step.step: step.kept for step in waterfall}
    return f"{1 - kept['format'] / kept['ingest']:.1%}" if {"ingest", "format"} <= kept.keys() else "not known"


def _drifts(
    settings: WatchSettings, reference: pl.DataFrame, new: pl.DataFrame, answer: AnswerSettings, kind: RowKind
) -> Iterator[Comparison]:
    before, now = _texts(drift.drawn(reference), drift.drawn(new), answer, kind)

    def tested(what: str, rule: str, test: drift.Test, sides: Sequence[str], told: str) -> Comparison:
        limit = getattr(settings, rule)
        found = now.height >= settings.least_rows and test.found(settings.significance, limit)
        told = told if found else _no_drift(settings, test, now.height)
        return Comparison(
            what=what,
            snapshot=sides[0],
            new=sides[1],
            told=told,
            rule=rule,
            test=test.name,
            statistic=test.statistic,
            p=test.p,
            effect=test.effect,
            limit=limit,
            found=found,
        )

    for column in ("prompt", "answer"):
        old, fresh = (side[column].str.len_chars().cast(pl.Int64) for side in (before, now))
        medians = tuple(f"{np.median(side.to_numpy()):,.0f} characters" for side in (old, fresh))
        told = f"{column}s are of other lengths: median {medians[1]}, {medians[0]} where it learnt"
        yield tested(f"{column} length", "length_effect", drift.lengths(old, fresh), medians, told)
    test, words = drift.words(before["prompt"], now["prompt"], SHOWN)
    told = f"words are used otherwise: {_moved(words)}"
    yield tested("words", "word_effect", test, (f"{before.height:,} rows", f"{now.height:,} rows"), told)
    old, fresh = (side["label"].drop_nulls() for side in (before, now))
    if len(old) and len(fresh):
        told = f"labels have other shares: {_moved(drift.moved(old, fresh, SHOWN))}"
        shown = f"{old.n_unique():,} labels, {len(old):,} rows", f"{fresh.n_unique():,} labels, {len(fresh):,} rows"
        yield tested("labels", "label_effect", drift.labels(old, fresh), shown, told)


def _no_drift(settings: WatchSettings, test: drift.Test, rows: int) -> str:
    if rows < settings.least_rows:
        return f"too few new rows to tell ({rows:,} of {settings.least_rows:,})"
    return "chance explains it" if test.by_chance(settings.significance) else "a difference too small to matter"


def _moved(values: list[drift.Moved]) -> str:
    return ", ".join(f"{_short(m.value)} {m.before:.0%} -> {m.now:.0%}" for m in values)


def _texts(
    before: pl.DataFrame, now: pl.DataFrame, answer: AnswerSettings, kind: RowKind
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of both sides row_id, prompt, answer, label: looked at together, since whether answers are labels is seen in
    many.
    """
    both = labelled(pl.concat([before, now.select(before.columns)]), answer, kind)
    return both.join(before, on="row_id", how="semi"), both.join(now, on="row_id", how="semi")


def _labels_unknown(
    settings: WatchSettings,
    snapshot: Handle,
    came: pl.DataFrame,
    new: pl.DataFrame,
    answer: AnswerSettings,
    kind: RowKind,
) -> Iterator[Comparison]:
    """Labels that the champion has never seen: in rows that came through, and in rows that the
    answer's form kept out.
    """
    reference = snapshot.frame(REFERENCE)
    known = [reference]
    if CURATED in SnapshotFacts.of(snapshot).files:
        known.append(snapshot.frame(CURATED).select(reference.columns))
    before, now = _texts(pl.concat(known).unique("row_id"), new, answer, kind)
    seen = set(before["label"].drop_nulls())
    if not seen:
        return
    fresh = Counter(label for label in now["label"].drop_nulls() if label not in seen)
    share, limit = fresh.total() / max(1, now.height), settings.new_label_share
    found = now.height >= settings.least_rows and limit > 0 and share >= limit and fresh.total() >= LEAST_NEW_LABEL
    told = (
        f"{share:.0%} of the new rows have labels it never saw: {_named(fresh)}" if fresh else "it has seen every label"
    )
    yield Comparison(
        what="new labels",
        snapshot=f"{len(seen):,} labels",
        new=f"{len(fresh):,} new labels",
        told=told,
        rule="new_label_share",
        effect=share,
        limit=limit,
        found=found,
    )
    if outside := _outside(came.join(new, on="row_id", how="anti"), seen, answer):
        told = f"held back, for the recipe's answer form does not allow them; a person has to: {_named(outside)}"
        yield Comparison(
            what="labels the recipe does not know", snapshot="", new=f"{outside.total():,} rows", told=told
        )


def _outside(held: pl.DataFrame, seen: set[str], answer: AnswerSettings) -> Counter[str]:
    """The labels, none of them seen, of rows that were held back; only where the label is a field of the answer."""
    if not answer.label:
        return Counter()
    found = Counter(label for text in prompts(held)["answer"] if (label := label_of(text, answer)) is not None)
    return Counter({label: n for label, n in found.items() if label not in seen and n >= LEAST_NEW_LABEL})


def _contract(snapshot: Handle, checked: Handle, contract: Contract) -> tuple[list[Comparison], list[str]]:
    """The rows that break the contract, expectation by expectation; one about a table as a whole says nothing of a
    batch.
    """
    file = snapshot.folder / "contract.json"
    known = ContractFacts.read(file).expectations if file.exists() else []
    before = {e.rule: e.share for e in known}
    blocking = {e.rule for e in contract.expectations if e.severity == "block"}
    failed = [e for e in ContractFacts.of(checked).expectations if not e.success and e.failed]
    worst = max((e.share for e in failed), default=0.0), max(before.values(), default=0.0)
    told = f"by the worst of {len(contract.expectations)} expectations, where it does not hold"
    found = [Comparison(what="contract break rate", snapshot=f"{worst[1]:.1%}", new=f"{worst[0]:.1%}", told=told)]
    for e in failed[:SHOWN]:
        severity = "block" if e.rule in blocking else "warn"
        told = f"{e.failed:,} of {e.checked:,} new rows break it, of severity {severity}"
        shown = f"{before[e.rule]:.1%}" if e.rule in before else "not known"
        found.append(Comparison(what=f"contract: {e.rule}", snapshot=shown, new=f"{e.share:.1%}", told=told))
    broken = [f"{e.rule}: {e.failed:,} of {e.checked:,} new rows" for e in failed if e.rule in blocking]
    return found, broken


def _named(labels: Counter[str]) -> str:
    ordered = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{_short(label)} ({count:,})" for label, count in ordered[:SHOWN])


def _short(label: str) -> str:
    return short(label, SHOWN_CHARACTERS)
