"""Steps that judge each row alone work in batches: whatever the batches, the same files; and no batch is ever half
written.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core import batches, row_batches
from tasks.core.batches import Growing, row_by_row
from tasks.core.decisions import Decision, Decisions, EditedMessage
from tasks.core.handle import LEDGER, QUARANTINE, ROWS, Handle
from tasks.core.home import digest_path, home
from tasks.core.ledger import LedgerError, Outcome, entries, entry
from tasks.core.process.progress import Progress
from tasks.core.row_kind import SFT
from tasks.core.settings import Settings
from tasks.core.step import row_step
from tasks.curation.clean import CleanSettings, clean
from tasks.curation.filter import FilterSettings, filter_rows
from tasks.curation.redact import RedactSettings, redact
from tasks.curation.review import ReviewSettings, decide
from tests.support.run_artifacts import row, rows

ROOT = Path(__file__).parents[3]
WORDS = (
    "parcel",
    "lamp",
    "order",
    "kettle",
    "broken",
    "refund",
    "Monday",
    "please",
    "week",
    "café",
    "street",
    "again",
    "soon",
)
DIRT = (
    "<p>{}</p>",
    "  {}",
    "{}\u200b",
    "{} Write to jo@example.com.",
    "{} Ring +44 20 7946 0123.",
    "{}\n\nKind regards,\nJo",
)
ANY: Any = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


def mess(count: int = 120) -> pl.DataFrame:
    """Rows with every kind of dirt that these steps find; answers end in a full stop, but for those
    that were cut off.
    """
    draw = random.Random(5)

    def text(words: int) -> str:
        return f"{number} " + " ".join(draw.choice(WORDS) for _ in range(words))

    made = []
    for number in range(count):
        said = text(12) + ("," if number % 9 == 0 else ".")
        said = "I cannot help with that." if number % 17 == 0 else "" if number % 23 == 0 else said
        made.append(row(draw.choice(["{}", *DIRT]).format(text(8) + "?"), said))
    return rows(made).sort("row_id")


MESS = mess()


def said_of(ids: list[str]) -> Decisions:
    """One row edited, one dropped, one kept against filter's doubt."""
    turns = (
        EditedMessage(role="user", content="New <b>question</b>?"),
        EditedMessage(role="assistant", content="A new answer that says enough."),
    )
    by: Any = {"reviewer": "Ada", "at": "2026-11-24T10:00:00Z"}
    return Decisions(
        made=(
            Decision(row_id=ids[0], decision="edit", messages=turns, **by),
            Decision(row_id=ids[1], decision="drop", **by),
            Decision(row_id=ids[2], decision="keep", step="filter", **by),
        )
    )


HELD = filter_rows(MESS, FilterSettings(), SFT).ledger.filter(pl.col("action") == "quarantined")["row_id"]
SAID = said_of([MESS["row_id"][3], MESS["row_id"][70], HELD[HELD.len() // 2]])
STEPS: dict[str, tuple[Callable[..., Outcome], dict[str, Any]]] = {
    "decide": (decide, {"settings": ReviewSettings(), "decisions": SAID.changes}),
    "clean": (clean, {"settings": CleanSettings()}),
    "redact": (redact, {"settings": RedactSettings()}),
    "filter": (filter_rows, {"settings": FilterSettings(), "kind": SFT}),
}


def handle(frame: pl.DataFrame, folder: Path) -> Handle:
    folder.mkdir()
    with Growing(folder / ROWS) as file:
        file.add(frame)
    return Handle(step="ingest", kind="rows", path=str(folder), digest="-", rows=frame.height)


def made(name: str, came: Handle, out: Path) -> dict[str, dict[str, int]]:
    """What the wrapper writes of a step, in `out`; returns the rows by action and reason."""
    step, given = STEPS[name]
    out.mkdir()
    return row_batches.write_rows(
        out, row_batches.batch_outcomes(name, step, came, given, SAID.asked_by(name), Progress(name))
    )[1]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[str, dict[str, dict[str, int]], dict[str, pl.DataFrame]]]:
    """Of each step over all rows at once: digest of what it wrote, counts, frames."""
    place = tmp_path_factory.mktemp("whole")
    came, found = handle(MESS, place / "came"), {}
    for name in STEPS:
        counts = made(name, came, place / name)
        frames = {file: pl.read_parquet(place / name / file) for file in (ROWS, LEDGER, QUARANTINE)}
        found[name] = digest_path(place / name), counts, frames
    return found


@pytest.fixture
def batch_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def change(count: int) -> None:
        monkeypatch.setattr(batches, "BATCH", count)

    return change


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=6, **ANY)
@given(count=st.integers(1, 130))
def test_any_size_of_batch_gives_the_same_rows_ledger_and_quarantine_byte_for_byte(
    name: str, whole: Any, batch_of: Callable[[int], None], tmp_path_factory: pytest.TempPathFactory, count: int
) -> None:
    place = tmp_path_factory.mktemp("part")
    came = handle(MESS, place / "came")
    batch_of(count)
    counts = made(name, came, place / "out")
    assert (digest_path(place / "out"), counts) == whole[name][:2]


def test_the_same_rows_are_found_as_by_the_plain_function_and_each_step_finds_some(whole: Any) -> None:
    for name, (step, given_) in STEPS.items():
        outcome = step(rows=MESS, **given_)
        _, counts, frames = whole[name]
        if name != "filter":  # there one row is kept by a reviewer's word
            assert frames[ROWS].equals(outcome.kept.sort("row_id"))
            assert frames[LEDGER].equals(outcome.ledger)
        assert frames[ROWS]["row_id"].is_sorted()
        assert sum(sum(reasons.values()) for reasons in counts.values()) >= 2
    assert whole["filter"][1]["kept"] == {"kept by a reviewer": 1}
    assert {"empty answer", "answer is cut off"} <= {reason for told in whole["filter"][1].values() for reason in told}
    assert whole["filter"][2][QUARANTINE]["text"].null_count() == 0


def test_what_a_step_must_know_of_all_rows_it_is_told_for_every_batch(whole: Any) -> None:
    """Ten rows by themselves are too few to know that answers end in a full stop here, so none of them is seen to be
    cut.
    """
    told = [filter_rows(part, FilterSettings(), SFT).ledger["reason"] for part in MESS.iter_slices(10)]
    assert "answer is cut off" not in pl.concat(told)
    assert "answer is cut off" in whole["filter"][2][LEDGER]["reason"]


def test_a_step_is_never_given_more_rows_than_a_batch(tmp_path: Path, batch_of: Callable[[int], None]) -> None:
    seen: list[int] = []

    @row_by_row()
    def look(rows: pl.DataFrame, settings: Settings) -> Outcome:
        seen.append(rows.height)
        return Outcome(rows, entries("look", []))

    batch_of(50)
    (tmp_path / "out").mkdir()
    came = handle(MESS, tmp_path / "came")
    outcomes = row_batches.batch_outcomes("look", look, came, {"settings": Settings()}, Decisions(), Progress("look"))
    assert row_batches.write_rows(tmp_path / "out", outcomes) == (120, {})
    assert seen == [50, 50, 20]


def test_a_row_lost_in_any_batch_stops_the_step(tmp_path: Path, batch_of: Callable[[int], None]) -> None:
    @row_by_row()
    def lose(rows: pl.DataFrame, settings: Settings) -> Outcome:
        return Outcome(rows.filter(pl.col("row_id") != MESS["row_id"][100]), entries("lose", []))

    batch_of(30)
    came = handle(MESS, tmp_path / "came")
    outcomes = row_batches.batch_outcomes("lose", lose, came, {"settings": Settings()}, Decisions(), Progress("lose"))
    with pytest.raises(LedgerError, match=r"1 rows lost .*30 in, 29 kept"):
        row_batches.write_rows(tmp_path, outcomes)


@pytest.mark.parametrize("order", [[2, 1, 0], [0, 1, 1]])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_rows_out_of_order_or_there_twice_are_refused_whatever_batch_they_are_in(
    order: list[int], count: int, tmp_path: Path, batch_of: Callable[[int], None]
) -> None:
    batch_of(count)
    handle(MESS[order], tmp_path / "came")
    with pytest.raises(LedgerError, match="do not ascend"):
        list(batches.batches(tmp_path / "came" / ROWS))


@settings(max_examples=15, **ANY)
@given(cuts=st.lists(st.integers(0, 120), max_size=6), group=st.integers(1, 130))
def test_a_file_has_the_same_bytes_however_its_rows_were_added(
    cuts: list[int], group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "GROUP", group)
    ends = [0, *sorted(cuts), 120]
    with Growing(tmp_path / "one") as one, Growing(tmp_path / "many") as many:
        one.add(MESS)
        for start, end in pairwise(ends):
            many.add(MESS[start:end])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()
    assert pl.read_parquet(tmp_path / "many").equals(MESS)


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    ledger = entries("clean", [])
    with Growing(tmp_path / "empty") as file:
        file.add(ledger)
        file.add(ledger)
    assert pl.read_parquet(tmp_path / "empty").schema == ledger.schema
    assert [part.height for part in batches.batches(tmp_path / "empty")] == [0]


# ---------------------------------------------------------------- killed in the middle


def read_mess(settings: Settings) -> Outcome:
    return Outcome(MESS, entries("read_mess", []))


@row_by_row()
def dies_once(rows: pl.DataFrame, settings: Settings) -> Outcome:
    """Drops each batch's first row, and is killed in the third batch the first time."""
    with (home() / "seen.txt").open("a") as file:
        file.write("batch\n")
    if (home() / "seen.txt").read_text().count("batch") == 3 and not (home() / "died").exists():
        (home() / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    gone = [entry(first, "dropped", "first of its batch") for first in rows.head(1).iter_rows(named=True)]
    return Outcome(rows.tail(rows.height - 1), entries("dies_once", gone))


def run_in_small_batches() -> Handle:
    batches.BATCH = 25
    return row_step(dies_once, Settings(), rows=row_step(read_mess, Settings()))


@pytest.mark.usefixtures("prefect")
@pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted")
def test_a_kill_between_batches_leaves_nothing_half_made_and_a_rerun_makes_it_whole(
    batch_of: Callable[[int], None],
) -> None:
    from prefect.settings import get_current_settings

    environment = {
        **os.environ,
        "PREFECT_API_URL": str(get_current_settings().api.url),
        "PYTHONPATH": str(ROOT),
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }
    ask = [sys.executable, "-c", "from tests.tasks.core.test_batches import run_in_small_batches as run; run()"]
    assert subprocess.run(ask, env=environment, timeout=120).returncode == -signal.SIGKILL
    assert not (home() / "artifacts" / "dies_once").exists()
    batch_of(25)
    made_ = run_in_small_batches()
    assert (made_.frame().height, made_.frame(LEDGER).height) == (MESS.height - 5, 5)
    assert not list((home() / "artifacts" / ".new").glob("dies_once*/*"))
