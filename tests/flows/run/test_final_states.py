"""What the log of a run says when it is stopped: words where a person can act, a traceback where Assay is at fault."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect import flow
from prefect.flow_engine import run_flow
from prefect.logging.loggers import get_logger

from flows.run.final_states import RUN_LOGS, ends_in_words
from tasks.core.action import act
from tasks.core.errors import AssayError, ContractError, DataError, OutsideError


class Lines(logging.Handler):
    """Every record as its page shows it, traceback and all."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.shown: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.shown.append((record.levelno, self.format(record)))

    def text(self, level: int = logging.INFO) -> str:
        return "\n".join(text for of, text in self.shown if of >= level)


@pytest.fixture
def lines(prefect: None) -> Iterator[Lines]:
    handler = Lines()
    for name in RUN_LOGS:
        logging.getLogger(name).addHandler(handler)
    yield handler
    for name in RUN_LOGS:
        logging.getLogger(name).removeHandler(handler)


def run(body: Callable[[], Any]) -> None:
    """Run it as the engine of a worker's process does, which logs what the run raises at its end."""

    @flow(name="stops", persist_result=False)
    @ends_in_words
    def stops() -> Any:
        body()

    run_flow(stops, error_logger=get_logger("prefect.flow_runs"))


@pytest.mark.parametrize("kind", [DataError, ContractError])
def test_an_error_that_a_person_can_act_on_is_told_in_words_line_by_line(lines: Lines, kind: type[DataError]) -> None:
    def stop() -> None:
        raise kind("No file matches.", where="recipe: data.train", allowed="a file", todo="correct the path")

    with pytest.raises(kind):
        run(stop)
    assert "Traceback" not in lines.text()
    told = "No file matches.\n  where:   recipe: data.train\n  allowed: a file\n  to do:   correct the path"
    assert lines.text().endswith(told)


def test_its_traceback_is_there_at_debug_level(lines: Lines) -> None:
    def stop() -> None:
        raise DataError("No file matches.")

    logging.getLogger(RUN_LOGS[0]).setLevel(logging.DEBUG)
    try:
        with pytest.raises(DataError):
            run(stop)
    finally:
        logging.getLogger(RUN_LOGS[0]).setLevel(logging.NOTSET)
    assert "in stop\n" in lines.text(logging.DEBUG)


def test_what_a_task_says_after_its_last_try_is_in_words_too(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OutsideError("MLflow does not answer.", todo="start it")

    monkeypatch.setattr("tasks.core.action.RETRIES", 1)
    monkeypatch.setattr("tasks.core.action.WAIT_SECONDS", [0.0])
    with pytest.raises(OutsideError):
        run(lambda: act("ask", away))
    assert "Traceback" not in lines.text()
    # The task's last word, and the run's.
    assert lines.text().count("MLflow does not answer.\n  to do:   start it") == 2


@pytest.mark.parametrize(
    "write", [lambda: Path("/dev/full").write_text("a row"), lambda: rows().write_parquet("/dev/full")]
)
def test_a_full_disk_is_told_in_words_with_what_to_do(lines: Lines, write: Callable[[], Any]) -> None:
    with pytest.raises(AssayError, match="A disk is full"):
        run(write)
    assert "Traceback" not in lines.text()
    assert "make room, and run the same command again (in the pages: Retry); it goes on from here" in lines.text()


def rows() -> pl.DataFrame:
    return pl.DataFrame({"row_id": ["f" * 64]})


def test_a_fault_of_ours_keeps_its_traceback(lines: Lines) -> None:
    def stop() -> None:
        _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(stop)
    assert "Traceback" in lines.text()
    assert "in stop\n" in lines.text()
