"""The wrapper around every step, on a real Prefect server: what is cached, what is made again, and what is retried."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core import step as wrapper
from tasks.core import step_cache
from tasks.core.decisions import Decision, Decisions
from tasks.core.errors import AssayError, DataError, OutsideError
from tasks.core.handle import FACTS, LEDGER, QUARANTINE, Handle
from tasks.core.home import TOLD, digest_path, home
from tasks.core.ledger import LedgerError, Outcome, entries, entry
from tasks.core.row import ROW_SCHEMA
from tasks.core.settings import Settings
from tasks.core.step import row_step, work_step
from tasks.core.work import StepDirs, StepResult

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.usefixtures("prefect"),
    pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted"),  # steps run here outside any flow
]


class Wanted(Settings):
    text: str = "gold"


def write(place: StepDirs, *, settings: Wanted, source: Handle | None = None) -> StepResult:
    """A step that writes its setting, and notes in the home folder that it ran."""
    with (home() / "ran.txt").open("a") as file:
        file.write(f"{settings.text}\n")
    (place.out / "text.txt").write_text(settings.text)
    table = [{"what": settings.text}]
    return StepResult(
        "text", "written", {"text": settings.text}, table, told={"process": os.getpid(), "at": time.time_ns()}
    )


def ran() -> int:
    note = home() / "ran.txt"
    return len(note.read_text().splitlines()) if note.exists() else 0


def same_from_two_processes(place: StepDirs, *, settings: Wanted) -> StepResult:
    """Does not end before two processes have asked for it."""
    while len(list(home().glob("asked-*"))) < 2:
        time.sleep(0.02)
    return write(place, settings=settings)


def ask_in_a_process_of_its_own() -> None:
    (home() / f"asked-{os.getpid()}").touch()
    print("digest", work_step(same_from_two_processes, Wanted()).digest)


def test_the_second_call_is_served_from_the_cache_with_the_same_handle() -> None:
    first, second = work_step(write, Wanted()), work_step(write, Wanted())
    assert first == second
    assert ran() == 1
    assert (first.folder / "text.txt").read_text() == "gold"
    assert first.facts()["line"] == "written"
    assert first.facts()["text"] == "gold"


def test_other_settings_or_another_input_are_other_work() -> None:
    one = work_step(write, Wanted(), "one")
    assert work_step(write, Wanted(text="ore")).digest != one.digest
    work_step(write, Wanted(), source=one)
    work_step(write, Wanted(), source=work_step(write, Wanted(text="tin"), "two"))
    assert ran() == 5
    work_step(write, Wanted(), source=one)
    assert ran() == 5


def test_where_an_input_lies_does_not_matter_only_what_it_is(tmp_path: Path) -> None:
    def at(path: str) -> Handle:
        return Handle(step="source", kind="file", path=str(tmp_path / path), digest="d1")

    assert work_step(write, Wanted(), source=at("here")) == work_step(write, Wanted(), source=at("there"))
    assert ran() == 1


@dataclass(frozen=True)
class Bundle:
    """A step's inputs that belong together."""

    source: Handle
    asked: tuple[Handle, Callable[..., StepResult]]
    settings: Wanted
    name: str = "bundle"
    missing: Handle | None = None


def test_inputs_in_a_dataclass_count_as_they_would_by_themselves(tmp_path: Path) -> None:
    def key(path: str = "here", digest: str = "d1", function: Callable[..., Any] = write, **more: Any) -> str:
        handle = Handle(step="source", kind="file", path=str(tmp_path / path), digest=digest)
        bundle = replace(Bundle(handle, (handle, function), Wanted()), **more)
        return step_cache.work_key("write", write, Wanted(), {"bundle": bundle})

    assert key() == key(path="there")
    others = (key(digest="d2"), key(function=same_from_two_processes), key(settings=Wanted(text="ore")))
    assert len({key(), *others, key(name="another")}) == 5


def test_changed_code_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    work_step(write, Wanted())
    monkeypatch.setattr(step_cache, "code_digest", lambda _module: "another")
    work_step(write, Wanted())
    assert ran() == 2


def _delete(folder: Path) -> None:
    shutil.rmtree(folder)


def _damage(folder: Path) -> None:
    (folder / "text.txt").write_text("bitten")


def _add(folder: Path) -> None:
    (folder / "stray.txt").write_text("")


def _forget(folder: Path) -> None:
    (folder / TOLD).unlink()


def _garble(folder: Path) -> None:
    (folder / TOLD).write_text('{"line": "wri')


@pytest.mark.parametrize("harm", [_delete, _damage, _add, _forget, _garble])
def test_an_artifact_that_is_gone_or_damaged_is_made_again(harm: Callable[[Path], None]) -> None:
    first = work_step(write, Wanted())
    harm(first.folder)
    assert work_step(write, Wanted()) == first
    assert ran() == 2
    assert digest_path(first.folder) == first.digest
    assert first.facts()["line"] == "written"


def test_a_step_whose_effect_was_undone_outside_is_made_again() -> None:
    asked: list[Handle] = []

    def still(handle: Handle) -> bool:
        asked.append(handle)
        return len(asked) < 2

    first = work_step(write, Wanted(), "", still)
    assert asked == []  # nothing cached, nothing to ask about
    for runs in (1, 2):
        assert work_step(write, Wanted(), "", still) == first
        assert ran() == runs
    assert asked == [first, first]


def test_a_damaged_record_in_the_cache_is_made_again() -> None:
    first = work_step(write, Wanted())
    records = [path for path in (home() / "results").rglob("*") if path.is_file()]
    for record in records:
        record.write_text(record.read_text()[:40])
    assert records
    assert work_step(write, Wanted()) == first
    assert ran() == 2


def test_the_cache_is_found_by_another_process_and_two_at_once_work_once(home: Path) -> None:
    from prefect.settings import get_current_settings

    environment = {
        **os.environ,
        "PREFECT_API_URL": str(get_current_settings().api.url),
        "PYTHONPATH": str(ROOT),
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }
    ask = "from tests.tasks.core.test_step import ask_in_a_process_of_its_own as ask; ask()"
    two = [
        subprocess.Popen([sys.executable, "-c", ask], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.communicate(timeout=120)[0].strip() for process in two}
    assert len(said) == 1
    assert said.pop().startswith("digest ")
    assert ran() == 1


def test_a_step_that_fails_leaves_no_artifact_and_is_not_retried() -> None:
    def fails(place: StepDirs, *, settings: Wanted) -> StepResult:
        (place.out / "half.txt").write_text("half")
        (place.scratch / "checkpoint").write_text("7")
        write(place, settings=settings)
        raise DataError("The ore is empty.", where="row 3", todo="dig elsewhere")

    with pytest.raises(DataError, match="dig elsewhere"):
        work_step(fails, Wanted())
    assert ran() == 1
    assert not list((home() / "artifacts").rglob("half.txt"))
    assert not (home() / "artifacts" / "fails").exists()
    assert list((home() / "scratch").rglob("checkpoint"))  # what survives, so that the next try goes on from it


def test_scratch_survives_a_failure_and_is_gone_after_success() -> None:
    def resumes(place: StepDirs, *, settings: Wanted) -> StepResult:
        if not (place.scratch / "checkpoint").exists():
            (place.scratch / "checkpoint").write_text("7")
            raise RuntimeError("killed")
        return write(place, settings=settings)

    with pytest.raises(RuntimeError, match="killed"):
        work_step(resumes, Wanted())
    work_step(resumes, Wanted())
    assert not list((home() / "scratch").rglob("checkpoint"))


@pytest.mark.parametrize(("error", "tries"), [(OutsideError, 4), (AssayError, 1), (ValueError, 1)])
def test_only_what_lies_outside_is_tried_again(
    error: type[Exception], tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrapper, "RETRIES", 3)
    monkeypatch.setattr(wrapper, "BACK_OFF_SECONDS", 0.01)

    def unlucky(place: StepDirs, *, settings: Wanted) -> StepResult:
        write(place, settings=settings)
        raise error("no answer")

    with pytest.raises(error, match="no answer"):
        work_step(unlucky, Wanted())
    assert ran() == tries


def test_a_retry_that_succeeds_is_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper, "BACK_OFF_SECONDS", 0.01)

    def heals(place: StepDirs, *, settings: Wanted) -> StepResult:
        made = write(place, settings=settings)
        if ran() < 3:
            raise OutsideError("no answer")
        return made

    assert work_step(heals, Wanted()).facts()["text"] == "gold"
    assert ran() == 3


def test_the_clock_and_process_ids_are_told_but_do_not_name_the_artifact() -> None:
    one = work_step(write, Wanted(), "write")
    told = one.facts()["at"]
    shutil.rmtree(home() / "results")
    again = work_step(write, Wanted(), "write")
    assert again == one
    assert again.facts()["at"] > told


def test_a_server_that_does_not_take_progress_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    import prefect.artifacts

    def refuse(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("the server restarts")

    monkeypatch.setattr(prefect.artifacts, "create_progress_artifact", refuse)

    def long(place: StepDirs, *, settings: Wanted) -> StepResult:
        place.progress(0.5, "half")
        place.progress(1.0, "done")
        return write(place, settings=settings)

    assert work_step(long, Wanted(), "few_shot").rows == 0


def test_a_home_that_cannot_be_written_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("ASSAY_HOME", str(home / "file"))
    with pytest.raises(AssayError, match="set ASSAY_HOME to another folder"):
        work_step(write, Wanted())


def frame(*row_ids: str) -> pl.DataFrame:
    said = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]
    return pl.DataFrame(
        [{"row_id": r, "source": "a.jsonl", "line": n, "messages": said, "meta": "{}"} for n, r in enumerate(row_ids)],
        schema=ROW_SCHEMA,
    )


def dig(settings: Wanted) -> Outcome:
    """An ingest: rows in any order out of nothing."""
    return Outcome(frame("c", "a", "b"), entries("dig", []))


def sift(rows: pl.DataFrame, settings: Wanted) -> Outcome:
    """Drops, quarantines or loses the rows that the setting names."""
    row = {"source": "a.jsonl", "line": 1}
    acts = {"D": "dropped", "Q": "quarantined"}
    named = dict(zip(settings.text[::2], settings.text[1::2], strict=True))
    gone = [entry({**row, "row_id": r}, acts[act], "too small") for r, act in named.items() if act in acts]
    return Outcome(rows.filter(~pl.col("row_id").is_in(list(named))), entries("sift", gone))


def test_rows_come_out_sorted_with_their_ledger_and_their_quarantine() -> None:
    raw = row_step(dig, Wanted())
    assert raw.frame()["row_id"].to_list() == ["a", "b", "c"]
    assert raw.rows == 3
    kept = row_step(sift, Wanted(text="aDbQ"), rows=raw)
    assert kept.frame()["row_id"].to_list() == ["c"]
    assert kept.frame(LEDGER)["row_id"].to_list() == ["a", "b"]
    assert kept.frame(QUARANTINE)["row_id"].to_list() == ["b"]
    assert json.loads((kept.folder / FACTS).read_text()) == {
        "in": 3,
        "kept": 1,
        "counts": {"dropped": {"too small": 1}, "quarantined": {"too small": 1}},
    }
    assert kept.facts()["line"] == "3 rows in, 1 kept, 1 dropped, 1 quarantined"


def test_a_step_that_keeps_nothing_says_which_reasons_took_the_rows() -> None:
    raw = row_step(dig, Wanted())
    with pytest.raises(DataError, match=r"No row is left after sift: 3 came in\.\n.*too small 2; too small 1"):
        row_step(sift, Wanted(text="aDbDcQ"), rows=raw)
    assert not (home() / "artifacts" / "sift").exists()


def test_a_step_that_loses_a_row_is_stopped() -> None:
    raw = row_step(dig, Wanted())
    with pytest.raises(LedgerError, match="1 rows lost"):
        row_step(sift, Wanted(text="aDbX"), rows=raw)
    assert not (home() / "artifacts" / "sift").exists()


def said(row_id: str, step: str) -> Decisions:
    told = {"row_id": row_id * 64, "decision": "keep", "step": step, "reviewer": "Ada", "at": "2026-11-24T10:00:00Z"}
    return Decisions(made=(Decision.model_validate(told),))


def doubt(rows: pl.DataFrame, settings: Wanted) -> Outcome:
    """Quarantines every row but the last, and notes that it ran."""
    with (home() / "ran.txt").open("a") as file:
        file.write("ran\n")
    told = [entry(row, "quarantined", "looks odd") for row in rows.head(rows.height - 1).iter_rows(named=True)]
    return Outcome(rows.tail(1), entries("doubt", told))


def known() -> Outcome:
    return Outcome(frame("a" * 64, "b" * 64, "c" * 64), entries("known", []))


def test_what_a_person_decided_stands_above_the_step_that_asked_and_changes_no_other_steps_key() -> None:
    raw = row_step(lambda settings: known(), Wanted(), "known")
    plain = row_step(doubt, Wanted(), rows=raw)
    assert row_step(doubt, Wanted(), rows=raw, reviewed=said("a", "sift")) == plain
    assert ran() == 1  # another step's answers are not its business
    kept = row_step(doubt, Wanted(), rows=raw, reviewed=said("a", "doubt"))
    assert kept.frame()["row_id"].to_list() == ["a" * 64, "c" * 64]
    assert kept.facts()["counts"] == {"kept": {"kept by a reviewer": 1}, "quarantined": {"looks odd": 1}}
    assert row_step(doubt, Wanted(), rows=raw, reviewed=said("a", "doubt")) == kept
    assert ran() == 2
