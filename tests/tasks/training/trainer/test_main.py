"""The trainer as a function: a kill at any step, even while it waits for a better loss, does not
change what is learnt.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.core.handle import Handle
from tasks.core.home import digest_path
from tasks.core.process.hardware import Machine
from tasks.facts.training import Actual, Losses, Plan
from tasks.model.chat_template import PromptSettings
from tasks.training.methods import METHODS
from tasks.training.methods.sft import SftSettings
from tasks.training.train import _write_examples
from tasks.training.trainer import __main__ as trainer
from tasks.training.trainer.events import Reporter, last_checkpoint, say
from tasks.training.trainer.spec import TrainSpec, event_of
from tasks.training.weights.lora import LoraSettings
from tests.support.tiny_model import CONTEXT
from tests.support.training import base_handle, rows

pytestmark = pytest.mark.usefixtures("one_thread")

# So high a rate that validation gets worse; five steps an epoch, each validated.
HASTY = SftSettings(
    epochs=4,
    batch_rows=4,
    validations_per_epoch=5,
    patience=3,
    weights=LoraSettings(rank=4),
    learning_rate=0.1,
    threads=1,
)


class KilledError(Exception):
    """Stands for a SIGKILL, as far as what is on disk is concerned."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Handle:
    return base_handle(tmp_path_factory.mktemp("work") / "base")


@dataclass(frozen=True)
class Heard:
    """What the trainer said."""

    plan: Plan
    actual: Actual
    history: list[Losses]


@pytest.fixture
def run(base: Handle, capsys: pytest.CaptureFixture[str]) -> Callable[..., Heard]:
    """Train in `folder`; gives what it said."""

    def train(
        folder: Path, settings: SftSettings, count: int = 20, validation: int = 4, checkpoint_seconds: float = 1e-6
    ) -> Heard:
        model = base.folder / "model"
        counted = _write_examples(
            folder, model, METHODS.get(settings.method), PromptSettings(), rows(count, validation), CONTEXT
        )
        capsys.readouterr()
        spec = TrainSpec(
            base=model,
            data=folder,
            out=folder / "out",
            parent=os.getpid(),
            settings=settings,
            checkpoint_seconds=checkpoint_seconds,
            counted=counted,
        )
        spec.write(folder / "spec.json")
        trainer.main(TrainSpec.read(folder / "spec.json"))
        plan, *history, actual = filter(None, map(event_of, capsys.readouterr().out.splitlines()))
        return Heard(plan, actual, history)  # type: ignore[arg-type]

    return train


def killed_at(step: int, train: Callable[[], Any]) -> None:
    """Run `train` in a process that dies once this step's loss is known, before it is validated or saved."""
    tell = Reporter._tell

    def dies(self: Reporter, logged: dict[str, Any]) -> None:
        if logged["step"] == step and "loss" in logged:
            raise KilledError
        tell(self, logged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reporter, "_tell", dies)
        with pytest.raises(KilledError):
            train()


def test_a_run_killed_while_it_waits_for_a_better_loss_stops_where_the_undisturbed_one_does(
    run: Callable[..., Heard], tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", HASTY)
    assert whole.actual.stopped_early
    assert whole.actual.steps == whole.actual.best_step + HASTY.patience
    for before_end in (0, 1):
        killed, step = tmp_path / f"killed {before_end}", whole.actual.steps - before_end
        killed_at(step, lambda folder=killed: run(folder, HASTY))  # type: ignore[misc]
        again = run(killed, HASTY)
        assert again.actual.resumed_from_step == step - 1
        assert again.history == whole.history
        assert digest_path(killed / "out") == digest_path(tmp_path / "whole" / "out")


def test_a_checkpoint_by_the_clock_between_two_validations_is_resumed_exactly(
    run: Callable[..., Heard], tmp_path: Path
) -> None:
    calm = SftSettings(epochs=2, batch_rows=4, validations_per_epoch=1, weights=LoraSettings(rank=4), threads=1)
    whole = run(tmp_path / "whole", calm)
    killed_at(8, lambda: run(tmp_path / "killed", calm))
    again = run(tmp_path / "killed", calm)
    assert again.actual.resumed_from_step == 7
    assert again.history == whole.history
    assert digest_path(tmp_path / "killed" / "out") == digest_path(tmp_path / "whole" / "out")


@pytest.mark.parametrize(
    ("count", "batch_rows", "steps"), [(20, 3, 14), (20, 7, 6), (20, 16, 3), (20, 512, 1), (3, 16, 1), (1, 1, 2)]
)
def test_a_batch_that_divides_neither_rows_nor_micro_batches_trains_every_row_without_validation_too(
    run: Callable[..., Heard], tmp_path: Path, count: int, batch_rows: int, steps: int
) -> None:
    settings = SftSettings(epochs=2, batch_rows=batch_rows, weights=LoraSettings(rank=4), threads=1)
    told = run(tmp_path, settings, count, validation=0, checkpoint_seconds=60)
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    assert told.plan.rows == count
    assert told.plan.steps == told.actual.steps == steps
    assert batch_rows % told.plan.micro_batch == 0
    assert [e.step for e in told.history] == list(range(1, steps + 1))
    assert (told.actual.best_step, told.actual.best_eval_loss) == (None, None)


def test_training_ends_at_the_first_loss_that_is_no_number(
    base: Handle, run: Callable[..., Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "base" / "model"
    shutil.copytree(base.folder / "model", copy)
    huge = {name: weight * 1e30 for name, weight in load_file(copy / "model.safetensors").items()}
    save_file(huge, copy / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr(Handle, "folder", property(lambda _: tmp_path / "base"))
    with pytest.raises(FloatingPointError, match=r"loss of step 1 is nan; lower train\.learning_rate"):
        run(tmp_path, HASTY)
    assert not (tmp_path / "out").exists()


def test_an_event_stands_on_a_line_of_its_own_whatever_a_library_has_left_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print("Loading weights: 50%", end="")
    say(Losses(step=3, loss=0.5))
    heard = [event_of(line) for line in capsys.readouterr().out.splitlines()]
    assert heard == [None, Losses(step=3, loss=0.5)]


def test_a_micro_batch_is_a_share_of_each_process() -> None:
    cpu, gpu = (Machine(device, "float32", "", 1) for device in ("cpu", "cuda"))
    assert trainer._micro_batch(SftSettings(batch_rows=16, processes=1), cpu) == 4
    assert trainer._micro_batch(SftSettings(batch_rows=16, processes=8), cpu) == 2
    assert trainer._micro_batch(SftSettings(batch_rows=48, processes=2), gpu) == 12
    assert trainer._micro_batch(SftSettings(batch_rows=7, processes=1), cpu) == 1


def test_the_last_whole_checkpoint_is_taken_and_halves_are_removed(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step, state in ((9, '{"global_step": 9}'), (10, '{"global_step": 10}'), (100, '{"glob'), (101, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-9"]


def test_the_trainer_ends_when_the_flow_or_the_launcher_does(tmp_path: Path) -> None:
    processes = (  # a launcher and its trainer for each flow, forked, as the libraries take seconds to load
        "import os, sys, time; from tasks.training.trainer.events import die_with\n"
        "for kill, flow in zip(('flow', 'launcher'), sys.argv[1:], strict=True):\n"
        "    if os.fork(): continue\n"
        "    os.dup2(os.open(kill, os.O_WRONLY), 1); os.dup2(1, 2)\n"
        "    if trainer := os.fork(): os.waitpid(trainer, 0); os._exit(0)\n"
        "    die_with(int(flow)); print(os.getppid(), flush=True); time.sleep(20)\n"
        "    print('still here', flush=True); os._exit(0)"
    )
    kills = ("flow", "launcher")
    for kill in kills:
        os.mkfifo(tmp_path / kill)
    flows = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in kills]
    started = subprocess.Popen(
        [sys.executable, "-c", processes, *(str(flow.pid) for flow in flows)], cwd=tmp_path, start_new_session=True
    )
    try:
        for kill, flow in zip(kills, flows, strict=True):
            with (tmp_path / kill).open() as told:
                launcher = int(told.readline())
                os.kill(flow.pid if kill == "flow" else launcher, signal.SIGKILL)
                # Read to its end: the trainer, who holds the pipe too, has ended.
                assert re.fullmatch(
                    rf"AbandonedError: the {kill} .*is gone, and nobody would hear what is learnt\n", told.read()
                )
    finally:
        os.killpg(started.pid, signal.SIGKILL)  # with the forks, of which one may wait for a reader
        for process in (*flows, started):
            process.kill()
            process.wait()


def test_a_clock_that_is_set_does_not_end_the_trainer() -> None:
    """Linux counts the time of boot, and so of a process's birth, back from the clock: with each correction it moves."""
    watches = (
        "import os, psutil, sys, time; from tasks.training.trainer.events import die_with\n"
        "die_with(os.getppid()); booted = psutil._psplatform.boot_time()\n"
        "psutil._psplatform.boot_time = lambda: booted + 1\n"
        "assert psutil.Process(os.getppid()).create_time() > 0; time.sleep(1.5); print('still here')"
    )
    told = subprocess.run([sys.executable, "-c", watches], capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("still here\n", "")
