"""Train a LoRA adapter, in a child process, on the assistant's tokens only.

This side counts every token, writes what to train on, starts the child with accelerate's launcher, shows its progress and
enforces the deadline; `tasks/trainer` is the other side. Checkpoints lie in the step's scratch folder, so the same step run
again after a kill goes on from the last one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, model_validator

from tasks import trainer
from tasks.core import terminal
from tasks.core.calls import tools_of, turns
from tasks.core.chat import IGNORED, Example, PromptSettings, encode
from tasks.core.child import child_environment
from tasks.core.errors import DataError, TrainingError
from tasks.core.handle import CURATED, Handle
from tasks.core.settings import Settings
from tasks.core.step import Made, Place

LAUNCHERS = ("subprocess.CalledProcessError", "torch.distributed.elastic")  # whose errors follow the trainer's in its log
SPLITS = ("train", "validation")
MOST_SEED = 2**32 - 1  # numpy takes no more, which the trainer would find out after everything else
NAMED_ROWS = 5  # rows named in an error; more would scroll the message away


class TrainSettings(Settings):
    """How to train. The defaults follow "LoRA Without Regret" (Schulman et al., Thinking Machines, 2025) unless said."""

    # On small sets two to four passes are usual; early stopping ends a run that stops learning.
    epochs: int = Field(default=3, ge=1, le=100)
    # Rows a step (effective batch). The study finds LoRA loses to full fine-tuning at large batches: stay under 32.
    batch_rows: int = Field(default=16, ge=1, le=512)
    # Peak rate. 0 takes the study's fit for LoRA, 10 times full fine-tuning's: 5e-4 * (2000 / hidden size) ** 0.78.
    learning_rate: float = Field(default=0.0, ge=0.0, le=0.1)
    # Rank matters little on small sets; 16 is ample for hundreds to thousands of rows.
    rank: int = Field(default=16, ge=1, le=512)
    # The study's alpha; the update is scaled by alpha / rank.
    alpha: int = Field(default=32, ge=1, le=1024)
    # Initial weights and the order of rows follow from it, and from nothing else.
    seed: int = Field(default=7, ge=0, le=MOST_SEED)
    # Validations an epoch; each is also a point that early stopping may return to.
    validations_per_epoch: int = Field(default=2, ge=1, le=20)
    # Validations without a better loss before training stops.
    patience: int = Field(default=3, ge=1, le=100)
    # Processes, one a GPU; more need as many GPUs.
    processes: int = Field(default=1, ge=1, le=64)
    # Threads of a process on a CPU. Another number sums in another order and ends in other last digits, so it stands here and
    # does not follow the machine's cores: the same recipe would make another adapter on each. A small machine has two.
    threads: int = Field(default=2, ge=1, le=256)
    # The last two do not change what is learnt, so they are not part of the cache key (exclude): with another deadline the
    # same training goes on. Seconds between checkpoints: what a kill costs at most.
    checkpoint_seconds: float = Field(default=60.0, gt=0, exclude=True)
    # Minutes after which the child is ended; the next run goes on from its checkpoint.
    deadline_minutes: float = Field(default=720.0, gt=0, exclude=True)

    @model_validator(mode="after")
    def _rows_for_each_process(self) -> TrainSettings:
        if self.batch_rows % self.processes:
            raise ValueError(f"batch_rows {self.batch_rows} is not a multiple of processes {self.processes}")
        return self


def train(place: Place, *, settings: TrainSettings, prompt: PromptSettings, base: Handle, dataset: Handle) -> Made:
    """Train on dataset's curated rows (column `split`: train, validation); leaves place.out/adapter, a PEFT folder.

    Raises DataError when an answer would be cut or nothing would be learnt, TrainingError when the child fails.
    """
    model = base.folder / "model"
    counted = _write_examples(place.scratch, model, prompt, dataset.frame(CURATED), base.facts()["context"])
    spec = {
        "base": str(model), "data": str(place.scratch), "out": str(place.out / "adapter"), "parent": os.getpid(),
        "settings": settings.model_dump(), "checkpoint_seconds": settings.checkpoint_seconds, "counted": counted,
    }  # fmt: skip
    (place.scratch / "spec.json").write_text(json.dumps(spec))
    told = _follow(place, settings)
    facts = {"history": told.pop("history"), "settings": settings.model_dump()}
    return Made("adapter", _line(told), facts, rows=counted["rows"], told=told)


def _write_examples(
    scratch: Path, model: Path, prompt: PromptSettings, rows: pl.DataFrame, context: int | None
) -> dict[str, int]:
    """Tokenise both splits into scratch/{train,validation}, as datasets of input_ids and labels. Returns the counts."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    examples = [_encode(tokenizer, row, prompt) for row in rows.iter_rows(named=True)]
    _refuse_cut(rows, examples, context)
    _refuse_silent(rows, examples)
    by_split = {split: [e for e, s in zip(examples, rows["split"], strict=True) if s == split] for split in SPLITS}
    trained = by_split["train"]
    if not trained:
        raise DataError("There is no row to train on.", where="step train", todo="loosen the steps before, or add data")
    for split, chosen in by_split.items():
        if chosen:  # datasets cannot read back what has no row
            data = Dataset.from_dict({"input_ids": [e.input_ids for e in chosen], "labels": [e.labels for e in chosen]})
            data.save_to_disk(str(scratch / split))
    return {
        "rows": len(trained), "validation_rows": len(by_split["validation"]),
        "tokens": sum(len(e.input_ids) for e in trained), "longest": max(len(e.input_ids) for e in examples),
        "answer_tokens": sum(label != IGNORED for e in trained for label in e.labels), "cut_tokens": 0,
    }  # fmt: skip


def _encode(tokenizer: Any, row: dict[str, Any], prompt: PromptSettings) -> Example:
    try:
        return encode(tokenizer, turns(row), prompt, row.get("weights"), tools_of(row["meta"]))
    except DataError as error:
        where = f"row {row['row_id'][:12]} ({row['source']}, line {row['line']}); {error.where}"
        raise DataError(error.what, where=where, allowed=error.allowed, todo=error.todo) from error


def _refuse_cut(rows: pl.DataFrame, examples: list[Example], context: int | None) -> None:
    if context is None:
        return
    long = [(r, len(e.input_ids)) for r, e in zip(rows["row_id"], examples, strict=True) if len(e.input_ids) > context]
    if not long:
        return
    cut = sum(n - context for _, n in long)
    named = ", ".join(f"{row_id[:12]} ({n:,} tokens)" for row_id, n in long[:NAMED_ROWS])
    raise DataError(
        f"{len(long):,} rows are longer than the base model can read; training would cut {cut:,} tokens without a word.",
        where=f"rows {named}{' ...' if len(long) > NAMED_ROWS else ''}", allowed=f"at most {context:,} tokens a row",
        todo="shorten or split these rows, filter them out, or take a base model with a longer context",
    )  # fmt: skip


def _refuse_silent(rows: pl.DataFrame, examples: list[Example]) -> None:
    silent = [r for r, e in zip(rows["row_id"], examples, strict=True) if all(label == IGNORED for label in e.labels)]
    if silent:
        raise DataError(
            f"{len(silent):,} rows have no assistant turn that teaches, so they would make the loss undefined.",
            where=f"rows {', '.join(r[:12] for r in silent[:NAMED_ROWS])}", allowed="an assistant turn whose weight is not 0",
            todo="give them an answer, or filter them out",
        )  # fmt: skip


def _follow(place: Place, settings: TrainSettings) -> dict[str, Any]:
    """Start the child, show its events, end it at the deadline. Returns its plan, actual and history."""
    log = place.scratch / "trainer.log"  # of this attempt: an error of the last one would be taken for its own
    facts: dict[str, Any] = {"plan": {}, "actual": {}, "history": []}
    deadline = time.monotonic() + 60 * settings.deadline_minutes
    with log.open("wb") as errors:
        child = subprocess.Popen(
            _command(place.scratch / "spec.json", settings), stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True,  # so that the launcher and all its workers can be ended together
            env={**child_environment(), "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        try:
            for event in _events(child, deadline):
                _take(event, facts, place)
            code = child.wait(timeout=60)
        finally:
            _end(child)
    if time.monotonic() >= deadline:
        raise TrainingError(
            f"Training reached its deadline of {settings.deadline_minutes:g} minutes.", where="recipe: train.deadline_minutes",
            todo="run the same command again to go on from the last checkpoint, or raise the deadline",
        )  # fmt: skip
    if code or not facts["actual"]:
        raise _failed(code, log)
    return facts


def _command(spec: Path, settings: TrainSettings) -> list[str]:
    launcher = ["-m", "accelerate.commands.launch", "--num_machines", "1", "--num_processes", str(settings.processes)]
    launcher += ["--num_cpu_threads_per_process", str(settings.threads)]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher += ["--multi_gpu"] if settings.processes > 1 else []
    return [sys.executable, *launcher, "-m", trainer.__name__, str(spec)]


def _events(child: subprocess.Popen[str], deadline: float) -> Iterator[dict[str, Any]]:
    """The child's standard output as events; whatever is not an event there is noise of a library."""
    import threading

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), _end, args=[child])
    timer.daemon = True
    timer.start()
    try:
        for line in child.stdout or ():
            if line.startswith('{"event"'):
                yield json.loads(line)
    finally:
        timer.cancel()


def _take(event: dict[str, Any], facts: dict[str, Any], place: Place) -> None:
    kind = event.pop("event")
    if kind == "plan":
        facts["plan"] = event
        terminal.note(_plan_line(event))
    elif kind == "actual":
        facts["actual"] = event
    else:
        facts["history"].append(event)
        left = f", loss {event['loss']:.3f}" if "loss" in event else f", validation loss {event['eval_loss']:.3f}"
        place.progress(event["step"] / facts["plan"]["steps"], f"step {event['step']} of {facts['plan']['steps']}{left}")


def _plan_line(plan: dict[str, Any]) -> str:
    return (
        f"{plan['rows']:,} rows, {plan['tokens']:,} tokens, {plan['cut_tokens']} cut; {plan['trainable_share']:.1%} of "
        f"{plan['total_parameters'] / 1e6:,.0f} M parameters; {plan['steps']} steps in {plan['dtype']} on {_device(plan)}; "
        f"about {plan['estimated_seconds'] / 60:.1f} min"
    )


def _device(plan: dict[str, Any]) -> str:
    if plan["device"] != "cpu":
        return str(plan["device"])
    idle = f" of {plan['cores']} cores (train.threads)" if plan["cores"] > plan["threads"] else ""
    return f"{plan['threads']} CPU threads{idle}"


def _line(facts: dict[str, Any]) -> str:
    plan, actual = facts["plan"], facts["actual"]
    best = actual["best_eval_loss"]
    return (
        f"{actual['steps']} of {plan['steps']} steps in {actual['seconds'] / 60:.1f} min (estimate "
        f"{plan['estimated_seconds'] / 60:.1f}), {actual['tokens_per_second']:.0f} tokens/s, "
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
