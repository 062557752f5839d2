"""What the training process says and heeds: events on stdout, checkpoints by the clock, and the end of its parent."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import psutil
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def say(event: str, **values: Any) -> None:
    """Write one event as a line of JSON; tasks/train.py reads it."""
    print(json.dumps({"event": event, **values}), flush=True)


def die_with(parent: int) -> None:
    """End this process when `parent` (a process id) is gone: a killed flow must not leave a trainer behind.

    A thread that looks twice a second; the kernel's own signal follows the launcher, not the flow.
    """
    try:
        born = psutil.Process(parent).create_time()
    except psutil.NoSuchProcess:
        os._exit(1)

    def watch() -> None:
        while True:
            try:
                process = psutil.Process(parent)
                gone = process.create_time() != born or process.status() == psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                gone = True
            if gone:
                os._exit(1)
            time.sleep(0.5)

    threading.Thread(target=watch, daemon=True).start()


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
    """Says the plan before the first step, and each logged loss as a `progress` event; first process only."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            say("plan", **self.plan)
            for past in state.log_history:  # a resumed run tells the whole curve
                self._tell(past)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero and state.log_history:
            self._tell(state.log_history[-1])

    def _tell(self, logged: dict[str, Any]) -> None:
        losses = {key: logged[key] for key in ("loss", "eval_loss") if key in logged}
        if losses:
            say("progress", step=logged["step"], **losses)
