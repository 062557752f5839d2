"""What the training process says and heeds: events on stdout, checkpoints, and the end of its parents."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import psutil
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tasks.facts.training import Losses, Plan
from tasks.training.trainer.spec import Event, line_of

# What the log of a trainer without a flow or launcher ends with; written as Python writes an error, to be found as one.
ABANDONED = "AbandonedError"
LOSSES = ("loss", "eval_loss")  # as transformers logs them


def say(event: Event) -> None:
    """Write one event as a line of JSON; tasks/training/train.py reads it. On a line of its own, whatever a library has
    left there.
    """
    print(f"\n{line_of(event)}", flush=True)


def die_with(parent: int) -> None:
    """End this process when `parent` (the flow's process id) or the launcher is gone: neither must leave a trainer
    behind.

    A thread that looks twice a second; the kernel's own signal follows one process, and only where it exists.
    """
    launcher = os.getppid()
    try:
        flow = psutil.Process(parent)
    except psutil.NoSuchProcess:
        _end(f"the flow (process {parent}) was gone before training began")

    def watch() -> None:
        while os.getppid() == launcher and _lives(flow):
            time.sleep(0.5)
        gone = "the launcher" if os.getppid() != launcher else f"the flow (process {parent})"
        _end(f"{gone} is gone, and nobody would hear what is learnt")

    threading.Thread(target=watch, daemon=True).start()


def _end(why: str) -> NoReturn:
    print(f"{ABANDONED}: {why}", file=sys.stderr, flush=True)
    os._exit(1)


def _lives(process: psutil.Process) -> bool:
    """Not by its time of birth: Linux tells that from the clock, and it moves by a second when the clock is set."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint in `folder`; None when there is none.

    A kill in the middle of a save leaves a part of one, which would end every later run: such are removed. The
    trainer's state is what transformers writes last (Trainer._save_checkpoint, 5.23).
    """
    whole = []
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
            whole.append(str(checkpoint))
        except (OSError, ValueError):
            shutil.rmtree(checkpoint, ignore_errors=True)  # each process looks, one removes
    return whole[-1] if whole else None


class TimedCheckpoints(TrainerCallback):  # type: ignore[misc]
    """A checkpoint every `seconds`, whatever a step takes, so that a kill costs a known time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        if time.monotonic() - self.last >= self.seconds:
            self.last, control.should_save = time.monotonic(), True
        return control


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Says the plan before the first step, and each logged loss as a `progress` event; first process only. A loss that
    is no number ends the training.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            say(self.plan)
            for past in state.log_history:  # a resumed run tells the whole curve
                self._tell(past)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        logged = state.log_history[-1] if state.log_history else {}
        if state.is_world_process_zero:
            self._tell(logged)
        for name in LOSSES:
            if not math.isfinite(logged.get(name, 0.0)):
                raise FloatingPointError(
                    f"{name} of step {logged['step']} is {logged[name]}; lower train.learning_rate"
                )

    def _tell(self, logged: dict[str, Any]) -> None:
        losses = {key: logged[key] for key in LOSSES if key in logged}
        if losses:
            say(Losses(step=logged["step"], **losses))
