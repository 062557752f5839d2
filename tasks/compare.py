"""compare: new rows beside the champion's training snapshot, figure by figure, each with what the recipe's rule makes of it.

Both sides are rows as they are after the steps that judge each row alone: what later steps leave depends on how many rows
there are, so that a small batch would differ from a large one by that alone. Tests and effects: tasks/core/drift.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from data_contracts.contract import Contract
from tasks.core import drift
from tasks.core.answer import AnswerSettings, label_of
from tasks.core.handle import CURATED, REFERENCE, Handle
from tasks.core.labels import labelled
from tasks.core.prompts import prompts
from tasks.core.readable import short
from tasks.core.row_kind import RowKind
from tasks.core.rule import WatchSettings
from tasks.core.work import StepDirs, StepResult

SHOWN = 5  # words, labels or expectations that a line names
SHOWN_CHARACTERS = 30  # of a label
LEAST_NEW_LABEL = 3  # rows: one or two may be slips of the pen, and of what was held back also somebody's own words
NOT_KEPT = "not compared: the rows it learnt from are neither in the registry (register: keep_rows) nor in this ASSAY_HOME"


@dataclass(frozen=True)
class Comparison:
    """One line of the table. rule: the setting that asks for it, empty where a figure is only told. told: it in a sentence."""

    what: str
    snapshot: str
    new: str
    told: str
    rule: str = ""
    test: str = ""
    statistic: float = 0.0
    p: float = 1.0
    effect: float = 0.0
    limit: float = 0.0
    found: bool = False


def compare(
    place: StepDirs, settings: WatchSettings, snapshot: Handle, came: Handle, new: Handle | None, contract: Contract,
    checked: Handle | None, answer: AnswerSettings, kind: RowKind,
) -> StepResult:  # fmt: skip
    """came: new rows as they came. new: those left by the steps that judge each alone; None if none is left. checked: what the
    contract says of the rows that training would gain, measured with every expectation as a warning.

    Facts: rows, comparisons (as Comparison has them), broken (which expectations of severity block do not hold, in words).
    """
    found = list(_held_back(snapshot, came, new))
    if new and REFERENCE in snapshot.facts()["files"]:
        found += _drifts(settings, snapshot.frame(REFERENCE), new.frame(), answer, kind)
        found += _labels_unknown(settings, snapshot, came.frame(), new.frame(), answer, kind)
    elif new:
        found.append(Comparison("lengths, words, labels", "not kept", f"{new.rows:,} rows", NOT_KEPT))
    broken: list[str] = []
    if checked:
        told, broken = _contract(snapshot, checked, contract)
        found += told
    drifted = [c.what for c in found if c.found]
    quiet = "no drift found" if any(c.test for c in found) else "compared with no row of the snapshot"
    line = f"{came.rows:,} new rows: " + (f"other than the snapshot in {', '.join(drifted)}" if drifted else quiet)
    facts = {"rows": came.rows, "comparisons": [asdict(c) for c in found], "broken": "; ".join(broken)}
    return StepResult("comparison", line + (", and they break the contract" if broken else ""), facts, table(facts), came.rows)


def table(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The comparisons as the Prefect page shows them: five columns or so, and the rest by scrolling."""
    return [
        {"what": c["what"], "verdict": c["told"], "snapshot": c["snapshot"], "new rows": c["new"],
         "effect": f"{c['effect']:.3f} (limit {c['limit']:g})" if c["rule"] else "",
         "p": f"{c['p']:.3f}" if c["test"] else "", "test": c["test"],
         "statistic": f"{c['statistic']:.3f}" if c["test"] else ""}
        for c in facts["comparisons"]
    ]  # fmt: skip


def _held_back(snapshot: Handle, came: Handle, new: Handle | None) -> Iterator[Comparison]:
    """The share of rows that the steps which judge each alone do not let through."""
    left = new.rows if new else 0
    now = (came.rows - left) / max(1, came.rows)
    told = f"{came.rows - left:,} of {came.rows:,} new rows do not come through the steps that judge each row alone"
    yield Comparison("rows held back", _held_before(snapshot), f"{now:.1%}", told)


def _held_before(snapshot: Handle) -> str:
    file = snapshot.folder / "dataset.json"
    waterfall = json.loads(file.read_text(encoding="utf-8"))["waterfall"] if file.exists() else []
    kept = {step["step"]: step["kept"] for step in waterfall}
    return f"{1 - kept['format'] / kept['ingest']:.1%}" if {"ingest", "format"} <= kept.keys() else "not known"


def _drifts(
    settings: WatchSettings, reference: pl.DataFrame, new: pl.DataFrame, answer: AnswerSettings, kind: RowKind
) -> Iterator[Comparison]:  # fmt: skip
    before, now = _texts(drift.drawn(reference), drift.drawn(new), answer, kind)

    def tested(what: str, rule: str, test: drift.Test, sides: Sequence[str], told: str) -> Comparison:
        limit = getattr(settings, rule)
        found = now.height >= settings.least_rows and test.found(settings.significance, limit)
        told = told if found else _no_drift(settings, test, now.height)
        return Comparison(what, sides[0], sides[1], told, rule, test.name, test.statistic, test.p, test.effect, limit, found)

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
) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """Of both sides row_id, prompt, answer, label: looked at together, since whether answers are labels is seen in many."""
    both = labelled(pl.concat([before, now.select(before.columns)]), answer, kind)
    return both.join(before, on="row_id", how="semi"), both.join(now, on="row_id", how="semi")


def _labels_unknown(
    settings: WatchSettings, snapshot: Handle, came: pl.DataFrame, new: pl.DataFrame, answer: AnswerSettings, kind: RowKind
) -> Iterator[Comparison]:  # fmt: skip
    """Labels that the champion has never seen: in rows that came through, and in rows that the answer's form kept out."""
    reference = snapshot.frame(REFERENCE)
    known = [reference]
    if CURATED in snapshot.facts()["files"]:
        known.append(snapshot.frame(CURATED).select(reference.columns))
    before, now = _texts(pl.concat(known).unique("row_id"), new, answer, kind)
    seen = set(before["label"].drop_nulls())
    if not seen:
        return
    fresh = Counter(label for label in now["label"].drop_nulls() if label not in seen)
    share, limit = fresh.total() / max(1, now.height), settings.new_label_share
    found = now.height >= settings.least_rows and limit > 0 and share >= limit and fresh.total() >= LEAST_NEW_LABEL
    told = f"{share:.0%} of the new rows have labels it never saw: {_named(fresh)}" if fresh else "it has seen every label"
    yield Comparison("new labels", f"{len(seen):,} labels", f"{len(fresh):,} new labels", told, "new_label_share",
                     effect=share, limit=limit, found=found)  # fmt: skip
    if outside := _outside(came.join(new, on="row_id", how="anti"), seen, answer):
        told = f"held back, for the recipe's answer form does not allow them; a person has to: {_named(outside)}"
        yield Comparison("labels the recipe does not know", "", f"{outside.total():,} rows", told)


def _outside(held: pl.DataFrame, seen: set[str], answer: AnswerSettings) -> Counter[str]:
    """The labels, none of them seen, of rows that were held back; only where the label is a field of the answer."""
    if not answer.label:
        return Counter()
    found = Counter(label for text in prompts(held)["answer"] if (label := label_of(text, answer)) is not None)
    return Counter({label: n for label, n in found.items() if label not in seen and n >= LEAST_NEW_LABEL})


def _contract(snapshot: Handle, checked: Handle, contract: Contract) -> tuple[list[Comparison], list[str]]:
    """The rows that break the contract, expectation by expectation; one about a table as a whole says nothing of a batch."""
    file = snapshot.folder / "contract.json"
    known = json.loads(file.read_text(encoding="utf-8"))["expectations"] if file.exists() else []
    before = {e["rule"]: e["share"] for e in known}
    blocking = {e.rule for e in contract.expectations if e.severity == "block"}
    failed = [e for e in checked.facts()["expectations"] if not e["success"] and e["failed"]]
    worst = max((e["share"] for e in failed), default=0.0), max(before.values(), default=0.0)
    told = f"by the worst of {len(contract.expectations)} expectations, where it does not hold"
    found = [Comparison("contract break rate", f"{worst[1]:.1%}", f"{worst[0]:.1%}", told)]
    for e in failed[:SHOWN]:
        severity = "block" if e["rule"] in blocking else "warn"
        told = f"{e['failed']:,} of {e['checked']:,} new rows break it, of severity {severity}"
        shown = f"{before[e['rule']]:.1%}" if e["rule"] in before else "not known"
        found.append(Comparison(f"contract: {e['rule']}", shown, f"{e['share']:.1%}", told))
    broken = [f"{e['rule']}: {e['failed']:,} of {e['checked']:,} new rows" for e in failed if e["rule"] in blocking]
    return found, broken


def _named(labels: Counter[str]) -> str:
    ordered = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{_short(label)} ({count:,})" for label, count in ordered[:SHOWN])


def _short(label: str) -> str:
    return short(label, SHOWN_CHARACTERS)
