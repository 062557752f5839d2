"""Training in its real child process: the plan holds, nothing is cut, and no kill costs more than a checkpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from pydantic import ValidationError

from tasks.core.errors import DataError, TrainingError
from tasks.core.handle import Handle
from tasks.core.home import digest_path
from tasks.core.work import StepResult
from tasks.facts.training import TrainingTold
from tasks.model.chat_template import PromptSettings
from tasks.training import train as step
from tasks.training.methods.sft import SftSettings
from tasks.training.train import train
from tasks.training.weights.lora import LoraSettings
from tests.support.training import base_handle, dataset_handle, place, rows

pytestmark = pytest.mark.usefixtures("one_thread", "launcher")

ROOT = Path(__file__).parents[3]
PROMPT = PromptSettings(system="Triage.")
# Five steps and one validation an epoch, each with a checkpoint: long enough to be killed in the middle.
LONG = SftSettings(
    epochs=12, batch_rows=4, validations_per_epoch=1, patience=100, weights=LoraSettings(rank=4), threads=1
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def given(work: Path) -> dict[str, Handle]:
    return {"base": base_handle(work / "base"), "dataset": dataset_handle(work / "dataset", rows(20, 4))}


@pytest.fixture(scope="module")
def undisturbed(work: Path, given: dict[str, Handle]) -> StepResult:
    return train(place(work / "undisturbed"), settings=LONG, prompt=PROMPT, **given)


def _until(true: Callable[[], Any], what: str) -> Any:
    """The first true value; fails when there is none in a minute."""
    deadline = time.monotonic() + 200  # for a machine that is busy with other things
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen")


def _checkpoint(scratch: Path) -> list[Path]:
    return list(scratch.glob("checkpoints/checkpoint-*/trainer_state.json"))


def _trainers(spec: Path) -> list[psutil.Process]:
    """The processes that train for this spec, without the launcher."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if str(spec) in line and "accelerate.commands.launch" not in line:
            found.append(process)
    return found


def test_the_plan_is_told_and_kept(undisturbed: StepResult, work: Path) -> None:
    plan, actual = undisturbed.told["plan"], undisturbed.told["actual"]
    assert (plan["rows"], plan["validation_rows"], plan["cut_tokens"], plan["effective_batch"]) == (20, 4, 0, 4)
    assert 0 < plan["answer_tokens"] < plan["tokens"]
    assert plan["trainable_share"] == plan["trainable_parameters"] / plan["total_parameters"]
    # The study's fit, at the model's hidden size.
    assert plan["learning_rate"] == pytest.approx(5e-4 * (2000 / 64) ** 0.78)
    assert plan["estimated_seconds"] > 0
    assert actual["steps"] == plan["steps"] == 60
    assert actual["resumed_from_step"] == 0
    assert not actual["stopped_early"]
    assert 0 <= actual["padding_share"] < 0.2
    assert undisturbed.rows == 20


def test_the_line_says_when_nothing_was_validated(undisturbed: StepResult) -> None:
    told = TrainingTold.model_validate(undisturbed.told)
    actual = told.actual.model_copy(update={"best_eval_loss": None})
    assert "no validation rows" in step._line(told.model_copy(update={"actual": actual}))
    assert "validation loss 0." in undisturbed.line


def test_the_history_holds_every_step_and_the_best_validation(undisturbed: StepResult) -> None:
    history, actual = undisturbed.facts["history"], undisturbed.told["actual"]
    assert [e["step"] for e in history if "loss" in e] == list(range(1, 61))
    validations = {e["step"]: e["eval_loss"] for e in history if "eval_loss" in e}
    assert list(validations) == list(range(5, 61, 5))
    assert actual["best_eval_loss"] == min(validations.values()) == validations[actual["best_step"]]
    assert history[-1 if "loss" in history[-1] else -2]["loss"] < history[0]["loss"] / 2  # it did learn


def test_the_adapter_is_weights_and_configuration_and_knows_no_machine(undisturbed: StepResult, work: Path) -> None:
    folder = work / "undisturbed" / "out" / "adapter"
    assert sorted(file.name for file in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    for file in folder.iterdir():
        assert str(work).encode() not in file.read_bytes()
        assert os.fsencode(Path.home()) + b"/" not in file.read_bytes()
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    assert str(work) not in json.dumps(undisturbed.facts)


def test_killed_then_out_of_time_then_resumed_gives_the_same_adapter(
    undisturbed: StepResult, work: Path, given: dict[str, Handle]
) -> None:
    where = place(work / "disturbed")

    def kill() -> None:
        _until(lambda: _checkpoint(where.scratch), "a checkpoint")
        for process in _trainers(where.scratch / "spec.json"):
            process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TrainingError, match="was killed") as caught:
        train(where, settings=LONG, prompt=PROMPT, **given)
    killer.join()
    assert "run the same command again" in caught.value.todo

    hasty = LONG.model_copy(update={"deadline_minutes": 0.01})
    with pytest.raises(TrainingError, match=r"deadline of 0\.01 minutes"):
        train(where, settings=hasty, prompt=PROMPT, **given)
    assert not _trainers(where.scratch / "spec.json")

    half = where.scratch / "checkpoints" / "checkpoint-999"  # a kill while it was written
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"ha")
    resumed = train(where, settings=LONG, prompt=PROMPT, **given)
    assert 0 < resumed.told["actual"]["resumed_from_step"] < 60
    assert resumed.facts == undisturbed.facts
    assert digest_path(where.out) == digest_path(work / "undisturbed" / "out")


def test_a_trainer_that_someone_ended_is_told_apart_from_one_that_failed(tmp_path: Path) -> None:
    """The launcher's words, as they were seen when its trainer got the signal."""
    log, said = (
        tmp_path / "trainer.log",
        "subprocess.CalledProcessError: Command '['python', '-m', 'tasks.training.trainer']'",
    )
    log.write_text(f"Traceback (most recent call last):\n{said} died with <Signals.SIGTERM: 15>.\n")
    told = step._failed(1, log)
    assert told.what == "The training process was told to end (SIGTERM)."
    assert told.todo == "run the same command again to go on from the last checkpoint"
    log.write_text(f"ValueError: no such device\n{said} returned non-zero exit status 1.\n")
    assert step._failed(1, log).what == "The training process failed with exit code 1: ValueError: no such device."


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to some of its cores"
)
def test_the_cores_of_a_machine_do_not_change_what_is_learnt(
    work: Path, given: dict[str, Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # else the threads of one core spin for each other
    settings = LONG.model_copy(update={"epochs": 2, "threads": 2})
    cores, digests = os.sched_getaffinity(0), set()
    for some in ({min(cores)}, cores):
        os.sched_setaffinity(0, some)  # the trainer inherits it
        try:
            made = train(place(work / f"cores{len(some)}"), settings=settings, prompt=PROMPT, **given)
        finally:
            os.sched_setaffinity(0, cores)
        digests.add(digest_path(work / f"cores{len(some)}" / "out"))
    assert len(digests) == 1
    assert made.told["plan"]["threads"] == 2


@pytest.mark.parametrize(
    ("device", "cores", "told"),
    [("cpu", 2, "2 CPU threads;"), ("cpu", 8, "2 CPU threads of 8 cores (train.threads);"), ("cuda", 8, "on cuda;")],
)
def test_the_plan_says_when_cores_would_stay_idle(undisturbed: StepResult, device: str, cores: int, told: str) -> None:
    plan = TrainingTold.model_validate(undisturbed.told).plan
    assert told in step._plan_line(plan.model_copy(update={"device": device, "threads": 2, "cores": cores}))


def test_a_killed_flow_leaves_no_trainer_behind(work: Path, given: dict[str, Handle]) -> None:
    where = work / "orphan"
    flow = (
        "from tests.tasks.training.test_train import *; import sys; from tasks.core.handle import Handle\n"
        "base, dataset = map(Handle.model_validate_json, sys.argv[2:])\n"
        "train(place(Path(sys.argv[1])), settings=LONG, prompt=PROMPT, base=base, dataset=dataset)"
    )
    arguments = [str(where), given["base"].model_dump_json(), given["dataset"].model_dump_json()]
    parent = subprocess.Popen([sys.executable, "-c", flow, *arguments], cwd=ROOT)
    try:
        _until(lambda: _checkpoint(where / "scratch"), "a checkpoint")
        trainers = _trainers(where / "scratch" / "spec.json")
        assert trainers
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _until(lambda: not any(process.is_running() for process in trainers), "the end of the trainer")
    assert not (where / "out" / "adapter").exists()


def test_a_child_that_fails_says_why(work: Path, given: dict[str, Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_command", lambda *_: [sys.executable, "-c", "raise SystemExit('no such ore')"])
    with pytest.raises(TrainingError, match="exit code 1: no such ore"):
        train(place(work / "fails"), settings=LONG, prompt=PROMPT, **given)


def said(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def changed(messages: list[dict[str, str]]) -> pl.DataFrame:
    frame = rows(4, 1)
    told = frame["messages"].to_list()
    return frame.with_columns(pl.Series("messages", [*told[:2], messages, *told[3:]], dtype=frame.schema["messages"]))


LONG_TEXT = "word and number 1 " * 200


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (said(LONG_TEXT, "x"), "1 rows are longer than the base model"),
        (said("x", LONG_TEXT), "1 rows are longer than the base model"),
        (said("Hello?", "x")[:1], "1 rows have no assistant turn"),
    ],
)
def test_a_row_that_would_be_cut_or_teach_nothing_stops_the_step_by_name(
    messages: list[dict[str, str]], told: str, work: Path, given: dict[str, Handle], tmp_path: Path
) -> None:
    dataset = dataset_handle(tmp_path / "dataset", changed(messages))
    with pytest.raises(DataError, match=told) as caught:
        train(place(tmp_path / "refused"), settings=LONG, prompt=PROMPT, base=given["base"], dataset=dataset)
    assert "000000000002" in caught.value.where
    assert not (tmp_path / "refused" / "scratch" / "spec.json").exists()  # no child was started


def test_a_row_that_the_template_refuses_is_named(given: dict[str, Handle], tmp_path: Path) -> None:
    strict = PromptSettings(chat_template="{{ raise_exception('no such role') }}")
    dataset = dataset_handle(tmp_path / "dataset", rows(4))
    with pytest.raises(DataError, match="no such role") as caught:
        train(place(tmp_path / "refused"), settings=LONG, prompt=strict, base=given["base"], dataset=dataset)
    assert caught.value.where.startswith("row 000000000000 (a.jsonl, line 1); ")


def test_no_row_to_train_on_is_an_error(given: dict[str, Handle], tmp_path: Path) -> None:
    dataset = dataset_handle(tmp_path / "dataset", rows(0, 4))
    with pytest.raises(DataError, match="no row to train on"):
        train(place(tmp_path / "refused"), settings=LONG, prompt=PROMPT, base=given["base"], dataset=dataset)


def test_deadline_and_checkpoints_are_no_part_of_what_is_learnt_so_they_keep_the_cache_key() -> None:
    other = LONG.model_copy(update={"deadline_minutes": 1.0, "checkpoint_seconds": 5.0})
    assert other.model_dump() == LONG.model_dump()
    assert LONG.model_copy(update={"seed": 8}).model_dump() != LONG.model_dump()


def test_rows_that_processes_cannot_share_evenly_are_refused() -> None:
    with pytest.raises(ValidationError, match="batch_rows 16 is not a multiple of processes 3"):
        SftSettings(processes=3)
