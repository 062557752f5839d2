"""The look at the sources, and which rows are new: as plain functions, on files and handles as the steps write them."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.handle import CURATED, LEDGER, ROWS, Handle
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.work import StepDirs, StepResult
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.data.sources import RawFile
from tasks.monitoring.retrain_rule import WatchSettings
from tasks.monitoring.watch import Look, gained, joined, look, news
from tasks.registry.champion import Champion
from tests.support.little_recipe import conversation, write_lines
from tests.support.run_artifacts import artifact, row, rows, step

RULE = WatchSettings()
CHAMPION = Champion(
    name="shop",
    version=3,
    alias="champion",
    unit="u",
    dataset="d",
    evidence="e",
    run_id="r",
    known=True,
    sources={"a.jsonl": "1", "b.jsonl": "2"},
    decisions=2,
)


def seen(
    files: dict[str, str], decisions: int = 2, champion: Champion | None = CHAMPION, beside: Champion | None = None
) -> Look:
    found = [RawFile(name=name, digest=digest, location="") for name, digest in files.items()]
    return look("name: shop", found, decisions, champion, beside)


def test_the_same_sources_are_unchanged_in_whatever_order() -> None:
    assert seen({"b.jsonl": "2", "a.jsonl": "1"}).unchanged
    assert seen({"b.jsonl": "2", "a.jsonl": "1"}).digest == seen({"a.jsonl": "1", "b.jsonl": "2"}).digest


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"a.jsonl": "1", "b.jsonl": "9"},
            "1 of 2 sources are as champion shop version 3 learnt from them; new or changed: b",
        ),
        ({"a.jsonl": "1"}, "1 of 1 sources are as champion shop version 3 learnt from them; no longer there: b.jsonl"),
        ({**CHAMPION.sources, **dict.fromkeys("wxyz", "7")}, "new or changed: w, x, y, ..."),
    ],
)
def test_what_differs_is_named(files: dict[str, str], told: str) -> None:
    assert not seen(files).unchanged
    assert told in seen(files).line


def test_what_people_decided_since_is_a_change() -> None:
    found = seen(CHAMPION.sources, decisions=7)
    assert not found.unchanged
    assert found.line.endswith("5 more decisions by reviewers")
    assert found.digest != seen(CHAMPION.sources).digest


def test_a_challenger_that_learnt_from_these_very_sources_is_told() -> None:
    newer = CHAMPION.model_copy(update={"version": 4, "alias": "challenger", "sources": {"a.jsonl": "9"}})
    assert seen({"a.jsonl": "9"}, beside=newer).trained == newer
    assert seen({"a.jsonl": "8"}, beside=newer).trained is None


def test_without_a_version_there_is_nothing_to_compare_with() -> None:
    assert seen({"a.jsonl": "1"}, champion=None).line == "No version is registered yet"


# ---------------------------------------------------------------- rows


def raw(folder: Path, files: dict[str, list[str]]) -> Outcome:
    for name, texts in files.items():
        write_lines(folder / name, [conversation(text, "order") for text in texts])
    return ingest(find_sources([Source(path=name) for name in files], folder), IngestSettings())


def snapshot(before: Outcome, kept: pl.DataFrame) -> Handle:
    told = entries("account", [entry(one, "kept", "passed every step") for one in before.kept.iter_rows(named=True)])

    def fill(place: StepDirs) -> StepResult:
        pl.concat([before.ledger, told]).write_parquet(place.out / LEDGER)
        kept.with_columns(split=pl.lit("train")).write_parquet(place.out / CURATED)
        return StepResult("snapshot", "", {"files": [CURATED, LEDGER]}, rows=kept.height)

    return artifact("snapshot", fill)


TEXTS = st.lists(st.sampled_from([f"Where is parcel {n}?" for n in range(6)]), min_size=1, max_size=9)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=TEXTS, new=TEXTS, seed=st.integers(0, 9))
def test_as_many_rows_are_new_as_there_are_more_of_each_text(
    tmp_path: Path, old: list[str], new: list[str], seed: int
) -> None:
    before = raw(tmp_path, {"a.jsonl": old})
    moved = random.Random(seed).sample(old, len(old))  # the old rows in another order, and partly in another file
    cut = seed * len(old) // 10
    after = raw(tmp_path, {"b.jsonl": [*moved[:cut], *new], **({"a.jsonl": moved[cut:]} if cut < len(old) else {})})
    found = artifact(
        "news", lambda place: news(place, RULE, step("ingest", None, after), snapshot(before, before.kept))
    )
    assert found.rows == len(new)
    assert found.facts() == {**found.facts(), "new": len(new), "gone": 0, "unread": 0}
    asked = sorted(messages[0]["content"] for messages in found.frame()["messages"].to_list())
    assert asked == sorted(new)


def test_rows_that_were_taken_out_of_the_sources_are_counted(tmp_path: Path) -> None:
    before = raw(tmp_path, {"a.jsonl": ["One?", "Two?", "Three?"]})
    after = raw(tmp_path, {"a.jsonl": ["Two?"]})
    found = artifact(
        "news", lambda place: news(place, RULE, step("ingest", None, after), snapshot(before, before.kept))
    )
    assert (found.rows, found.facts()["gone"]) == (0, 2)


def test_training_gains_nothing_from_a_new_row_that_takes_an_older_ones_place() -> None:
    old, better, other = (
        row("Where is my parcel?", "a"),
        row("Where is my parcel?", "a longer answer"),
        row("Money back!", "b"),
    )
    before = Outcome(rows([old]), entries("ingest", []))
    new = step("format", None, Outcome(rows([better, other]), entries("format", [])))
    both = artifact("joined", lambda place: joined(place, RULE, snapshot(before, before.kept), new))
    assert both.rows == 3
    assert both.facts()["kept"] == 1
    left = step("dedupe", None, Outcome(both.frame().filter(pl.col("row_id") != old["row_id"]), entries("dedupe", [])))
    found = artifact("gained", lambda place: gained(place, RULE, left, both, new))
    assert pl.read_parquet(found.folder / ROWS).height == 2
    assert found.facts()["more"] == 1


def test_a_snapshot_from_before_rows_had_tool_calls_is_joined_with_new_rows() -> None:
    old, other = row("Where is my parcel?", "a"), row("Money back!", "b")
    before, new = rows([old]).drop("calls"), step("format", None, Outcome(rows([other]), entries("format", [])))
    kept = snapshot(Outcome(rows([old]), entries("ingest", [])), before)
    both = artifact("joined", lambda place: joined(place, RULE, kept, new))
    assert both.frame().columns == new.frame().columns
    assert both.rows == 2
