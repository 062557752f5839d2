"""Train one model: `accelerate launch -m tasks.training.trainer spec.json` (tasks/training/train.py writes the spec
and starts it).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tasks.core.process.hardware import Machine, choose_device_and_dtype, collect_rarely, exit_quickly, reuse_memory

collect_rarely()  # before the libraries are loaded, which is when it saves most

# ruff: noqa: E402
import torch
from datasets import load_from_disk
from peft.helpers import disable_input_dtype_casting
from transformers import EarlyStoppingCallback, set_seed

from tasks.facts.training import Actual, Plan, TokenCounts
from tasks.model.loading import load_tokenizer
from tasks.training.methods import METHODS
from tasks.training.methods.base import TrainingData
from tasks.training.settings import TrainSettings
from tasks.training.trainer.events import Reporter, TimedCheckpoints, die_with, last_checkpoint, say
from tasks.training.trainer.loop import (
    estimate_seconds,
    hidden_size,
    leaves_experts_out,
    padding_share,
    parameters_of,
    row_order,
)
from tasks.training.trainer.spec import TrainSpec
from tasks.training.weights import WEIGHTS


def main(spec: TrainSpec) -> None:
    """Train, or go on from the last checkpoint, and save the weights whose validation loss was best."""
    die_with(spec.parent)
    reuse_memory()
    exit_quickly()
    settings, counted, scratch = spec.settings, spec.counted, spec.data
    machine = choose_device_and_dtype()
    set_seed(settings.seed)
    method, weights = METHODS.get(settings.method), WEIGHTS.get(settings.weights.form)
    model = weights.load(spec.base, settings.weights, machine, counted.longest)
    tokenizer = load_tokenizer(spec.base)
    rows = load_from_disk(str(scratch / "train"))
    watched = load_from_disk(str(scratch / "validation")) if counted.validation_rows else None
    lengths = [len(ids) for ids in rows["input_ids"]]
    micro = _micro_batch(settings, machine)
    order = row_order(lengths, micro, settings.epochs, settings.seed)
    arguments = _arguments(settings, machine, scratch, micro, len(lengths), watched=bool(watched))
    arguments["learning_rate"] = settings.learning_rate or weights.learning_rate(hidden_size(model))
    plan = _plan(settings, counted, machine, model, arguments, len(order))
    callbacks = [TimedCheckpoints(spec.checkpoint_seconds), Reporter(plan)]
    callbacks += [EarlyStoppingCallback(settings.patience)] if watched else []
    data = TrainingData(rows.select(order), watched, arguments, callbacks)
    trainer = method.trainer(settings, model, tokenizer, data)
    last = last_checkpoint(scratch / "checkpoints")
    started = time.monotonic()
    with disable_input_dtype_casting(
        model
    ):  # the Trainer's autocast does it, once; the adapter's own weights stay float32
        trainer.train(resume_from_checkpoint=last)
    if trainer.is_world_process_zero():
        weights.save(trainer.accelerator.unwrap_model(trainer.model), spec.out)
        say(_actual(trainer, lengths, order, micro, time.monotonic() - started, last))


def _micro_batch(settings: TrainSettings, machine: Machine) -> int:
    """Rows computed together. On a CPU four keep the peak memory low at the full matmul rate; a GPU wants them all."""
    wanted = 4 if machine.device == "cpu" else 16
    share = settings.batch_rows // settings.processes
    return max(n for n in range(1, wanted + 1) if share % n == 0)


def _arguments(
    settings: TrainSettings, machine: Machine, scratch: Path, micro: int, rows: int, watched: bool
) -> dict[str, Any]:
    """For transformers' TrainingArguments, whatever the method.

    watched: there are validation rows. Without them nothing can tell a best step, and the last one is kept.
    """
    accumulate = max(1, settings.batch_rows // (micro * settings.processes))
    steps_per_epoch = max(1, rows // settings.batch_rows)
    every = max(1, steps_per_epoch // settings.validations_per_epoch)
    return {
        "output_dir": str(scratch / "checkpoints"),
        "seed": settings.seed,
        "data_seed": settings.seed,
        "num_train_epochs": 1,  # row_order lays all epochs out in one sequence, so a resume only has to skip
        "train_sampling_strategy": "sequential",
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": accumulate,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.05,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch",
        "gradient_checkpointing": False,
        "bf16": machine.dtype == "bfloat16",
        "fp16": False,
        "use_cpu": machine.device == "cpu",
        "eval_strategy": "steps" if watched else "no",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "load_best_model_at_end": watched,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        # Else a resumed run forgets how long it has waited for a better loss.
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # else a loss that is no number is shown as 0
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }


def _plan(
    settings: TrainSettings, counted: TokenCounts, machine: Machine, model: Any, arguments: dict[str, Any], passes: int
) -> Plan:
    trainable, total = parameters_of(model)
    micro = arguments["per_device_train_batch_size"]
    return Plan(
        **counted.model_dump(),
        method=METHODS.get(settings.method).title,
        weights=WEIGHTS.get(settings.weights.form).title + ", without its experts" * leaves_experts_out(model),
        trainable_parameters=trainable,
        total_parameters=total,
        trainable_share=trainable / total,
        steps=-(-passes // settings.batch_rows),
        epochs=settings.epochs,
        effective_batch=settings.batch_rows,
        micro_batch=micro,
        learning_rate=arguments["learning_rate"],
        dtype=machine.dtype,
        device=machine.device,
        torch=torch.__version__,
        threads=settings.threads * settings.processes,
        cores=machine.cores,
        estimated_seconds=estimate_seconds(model, counted, settings.epochs, micro),
    )


def _actual(trainer: Any, lengths: list[int], order: list[int], micro: int, seconds: float, last: str | None) -> Actual:
    state = trainer.state
    resumed = int(last.rsplit("-", 1)[1]) if last else 0
    rows = state.global_step * trainer.args.gradient_accumulation_steps * micro * trainer.args.world_size
    done = order[resumed * (rows // max(1, state.global_step)) : rows]
    return Actual(
        seconds=seconds,
        steps=state.global_step,
        tokens_per_second=sum(lengths[i] for i in done) / seconds,
        padding_share=padding_share(lengths, order, micro),
        best_step=state.best_global_step,
        best_eval_loss=state.best_metric,
        stopped_early=state.global_step < state.max_steps,
        resumed_from_step=resumed,
    )


if __name__ == "__main__":
    main(TrainSpec.read(Path(sys.argv[1])))
