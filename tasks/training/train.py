"""Train a model by a method (tasks/training/methods), in a child process, on the tokens that the method says.

This side counts every token, writes what to train on, starts the child with accelerate's launcher, shows its progress
and enforces the deadline; `tasks/training/trainer` is the other side. Checkpoints lie in the step's scratch folder, so
the same step run again after a kill goes on from the last one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import DataError, TrainingError
from tasks.core.handle import CURATED, Handle
from tasks.core.process import terminal
from tasks.core.process.child import child_environment
from tasks.core.text.display import number_of
from tasks.core.work import StepDirs, StepResult
from tasks.facts.base_model import ModelFacts
from tasks.facts.training import Actual, Losses, Plan, TokenCounts, TrainingFacts, TrainingTold
from tasks.model.chat_template import IGNORED, PromptSettings, TokenizedExample
from tasks.model.loading import load_tokenizer
from tasks.training import trainer
from tasks.training.methods import METHODS
from tasks.training.methods.base import Method
from tasks.training.pace import Pace
from tasks.training.settings import TrainSettings
from tasks.training.token_counts import count_tokens
from tasks.training.trainer.spec import Event, TrainSpec, event_of

# Whose errors follow the trainer's in its log.
LAUNCHERS = (
    "subprocess.CalledProcessError",
    "torch.distributed.elastic",
)
SPLITS = ("train", "validation")
SPEC = "spec.json"  # in the scratch folder
NAMED_ROWS = 5  # rows named in an error; more would scroll the message away


def train(
    place: StepDirs, *, settings: TrainSettings, prompt: PromptSettings, base: Handle, dataset: Handle
) -> StepResult:
    """Train on dataset's curated rows (column `split`: train, validation); leaves place.out/adapter, as the form of
    weights keeps it.

    Raises DataError when an answer would be cut or nothing would be learnt, TrainingError when the child fails.
    """
    model = base.folder / "model"
    method, rows = METHODS.get(settings.method), dataset.frame(CURATED)
    counted = _write_examples(place.scratch, model, method, prompt, rows, ModelFacts.of(base).context)
    TrainSpec(
        base=model,
        data=place.scratch,
        out=place.out / "adapter",
        parent=os.getpid(),
        settings=settings,
        checkpoint_seconds=settings.checkpoint_seconds,
        counted=counted,
    ).write(place.scratch / SPEC)
    told, history = _follow(place, settings)
    facts = TrainingFacts(history=history, settings=settings.model_dump())
    return StepResult("adapter", _line(told), facts.written(), rows=counted.rows, told=told.written())


def _write_examples(
    scratch: Path, model: Path, method: Method, prompt: PromptSettings, rows: pl.DataFrame, context: int | None
) -> TokenCounts:
    """Tokenise both splits into scratch/{train,validation}, datasets with the fields of the method's examples. Returns
    the counts.
    """
    from datasets import Dataset

    tokenizer = load_tokenizer(model)
    examples = [_encode(tokenizer, method, row, prompt) for row in rows.iter_rows(named=True)]
    _refuse_cut(rows, examples, context)
    _refuse_silent(rows, examples)
    by_split = {split: [e for e, s in zip(examples, rows["split"], strict=True) if s == split] for split in SPLITS}
    if not by_split["train"]:
        raise DataError("There is no row to train on.", where="step train", todo="loosen the steps before, or add data")
    for split, chosen in by_split.items():
        if chosen:  # datasets cannot read back what has no row
            columns = {one.name: [getattr(e, one.name) for e in chosen] for one in fields(chosen[0])}
            Dataset.from_dict(columns).save_to_disk(str(scratch / split))
    return count_tokens(tokenizer, rows, examples)


def _encode(tokenizer: Any, method: Method, row: dict[str, Any], prompt: PromptSettings) -> TokenizedExample:
    try:
        return method.encode(tokenizer, row, prompt)
    except DataError as error:
        where = f"row {row['row_id'][:12]} ({row['source']}, line {row['line']}); {error.where}"
        raise DataError(error.what, where=where, allowed=error.allowed, todo=error.todo) from error


def _refuse_cut(rows: pl.DataFrame, examples: list[TokenizedExample], context: int | None) -> None:
    if context is None:
        return
    long = [(r, len(e.input_ids)) for r, e in zip(rows["row_id"], examples, strict=True) if len(e.input_ids) > context]
    if not long:
        return
    cut = sum(n - context for _, n in long)
    named = ", ".join(f"{row_id[:12]} ({n:,} tokens)" for row_id, n in long[:NAMED_ROWS])
    raise DataError(
        f"{len(long):,} rows are longer than the base model can read; training would cut {cut:,} tokens without a "
        f"word.",
        where=f"rows {named}{' ...' if len(long) > NAMED_ROWS else ''}",
        allowed=f"at most {context:,} tokens a row",
        todo="shorten or split these rows, filter them out, or take a base model with a longer context",
    )


def _refuse_silent(rows: pl.DataFrame, examples: list[TokenizedExample]) -> None:
    silent = [r for r, e in zip(rows["row_id"], examples, strict=True) if all(label == IGNORED for label in e.labels)]
    if silent:
        raise DataError(
            f"{len(silent):,} rows have no assistant turn that teaches, so they would make the loss undefined.",
            where=f"rows {', '.join(r[:12] for r in silent[:NAMED_ROWS])}",
            allowed="an assistant turn whose weight is not 0",
            todo="give them an answer, or filter them out",
        )


@dataclass
class _Heard:
    """What the child has said so far."""

    plan: Plan | None = None
    pace: Pace | None = None
    actual: Actual | None = None
    history: list[Losses] = field(default_factory=list)


def _follow(place: StepDirs, settings: TrainSettings) -> tuple[TrainingTold, list[Losses]]:
    """Start the child, show its events, end it at the deadline. Returns its plan with what came of
    it, and its history.
    """
    log = place.scratch / "trainer.log"  # of this attempt: an error of the last one would be taken for its own
    heard = _Heard()
    deadline = time.monotonic() + 60 * settings.deadline_minutes
    with log.open("wb") as errors:
        child = subprocess.Popen(
            _command(place.scratch / SPEC, settings),
            stdin=subprocess.DEVNULL,  # no library of the trainer's may ask a person anything
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # so that the launcher and all its workers can be ended together
            env={
                **child_environment(),
                "PYTHONUNBUFFERED": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",
            },
        )
        try:
            for event in _events(child, deadline):
                _take(event, heard, place)
            code = child.wait(timeout=60)
        finally:
            _end(child)
    if time.monotonic() >= deadline:
        raise TrainingError(
            f"Training reached its deadline of {settings.deadline_minutes:g} minutes.",
            where="recipe: train.deadline_minutes",
            todo="run the same command again to go on from the last checkpoint, or raise the deadline",
        )
    if code or not (heard.plan and heard.actual):
        raise _failed(code, log)
    return TrainingTold(plan=heard.plan, actual=heard.actual), heard.history


def _command(spec: Path, settings: TrainSettings) -> list[str]:
    launcher = ["-m", "accelerate.commands.launch", "--num_machines", "1", "--num_processes", str(settings.processes)]
    launcher += ["--num_cpu_threads_per_process", str(settings.threads)]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher += ["--multi_gpu"] if settings.processes > 1 else []
    return [sys.executable, *launcher, "-m", trainer.__name__, str(spec)]


def _events(child: subprocess.Popen[str], deadline: float) -> Iterator[Event]:
    """The child's standard output as events; whatever is not an event there is noise of a library."""
    import threading

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), _end, args=[child])
    timer.daemon = True
    timer.start()
    try:
        for line in child.stdout or ():
            if event := event_of(line):
                yield event
    finally:
        timer.cancel()


def _take(event: Event, heard: _Heard, place: StepDirs) -> None:
    if isinstance(event, Plan):
        heard.plan, heard.pace = event, Pace(event.steps, event.estimated_seconds, time.monotonic())
        terminal.note(_plan_line(event))
    elif isinstance(event, Actual):
        heard.actual = event
    else:
        heard.history.append(event)
        if heard.plan and heard.pace:  # which the trainer says first
            _show(event, heard.plan, heard.pace, place)


def _show(event: Losses, plan: Plan, pace: Pace, place: StepDirs) -> None:
    now = time.monotonic()
    losses = "" if event.loss is None else f", loss {event.loss:.3f}"
    losses += "" if event.eval_loss is None else f", validation loss {event.eval_loss:.3f}"
    if whole := pace.correction(event.step, now):
        terminal.note(f"at this pace it takes {whole / 60:.1f} min in all")
    left = f"about {pace.left(event.step, now) / 60:.1f} min left"
    place.progress(event.step / plan.steps, f"step {event.step} of {plan.steps}, {left}{losses}")


def _plan_line(plan: Plan) -> str:
    parts = [
        f"{plan.method}, {plan.weights}: {number_of(plan.rows, 'row')}, {plan.tokens:,} tokens, {plan.cut_tokens} cut",
        f"{plan.trainable_share:.1%} of {plan.total_parameters / 1e6:,.0f} M parameters",
        f"{number_of(plan.steps, 'step')} in {plan.dtype} on {_device(plan)}",
        f"about {plan.estimated_seconds / 60:.1f} min",
    ]
    parts += [f"{number_of(plan.quoting_rows, 'row')} with control tokens, as text"] * (plan.quoting_rows > 0)
    parts += [f"{number_of(plan.unlearnt_answers, 'earlier answer')} read, not learnt"] * (plan.unlearnt_answers > 0)
    return "; ".join(parts)


def _device(plan: Plan) -> str:
    if plan.device != "cpu":
        return plan.device
    idle = f" of {plan.cores} cores (train.threads)" if plan.cores > plan.threads else ""
    return f"{plan.threads} CPU threads{idle}"


def _line(told: TrainingTold) -> str:
    plan, actual = told.plan, told.actual
    best = actual.best_eval_loss
    return (
        f"{actual.steps} of {number_of(plan.steps, 'step')} in {actual.seconds / 60:.1f} min (estimate "
        f"{plan.estimated_seconds / 60:.1f}), {actual.tokens_per_second:.0f} tokens/s, "
        + ("no validation rows" if best is None else f"validation loss {best:.3f}")
    )


def _end(child: subprocess.Popen[str]) -> None:
    """End the child's whole process group: first politely, then not."""
    for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, sign)
            child.wait(timeout=patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _failed(code: int, log: Path) -> TrainingError:
    text = log.read_text(errors="replace") if log.exists() else ""
    if code < 0 or "SIGKILL" in text[-4000:] or code == 137:
        why = "was killed (often: out of memory)"
        todo = "run the same command again to go on from the last checkpoint; if it recurs, lower train.batch_rows"
    elif "Signals.SIGTERM" in text[-4000:]:  # in the launcher's words; it ends with 1 itself
        why, todo = "was told to end (SIGTERM)", "run the same command again to go on from the last checkpoint"
    else:
        why, todo = f"failed with exit code {code}: {_last_words(text)}", f"read {log}"
    return TrainingError(f"The training process {why}.", where=f"step train, log {log}", todo=todo)


def _last_words(text: str) -> str:
    """The trainer's own error in its log, which ends with the launcher's, who only says that there was one."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line) and not line.startswith(LAUNCHERS)]
    return ([*lines, *errors] or ["it said nothing"])[-1][:300]
