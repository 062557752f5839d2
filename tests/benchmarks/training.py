"""Our train step against TRL's defaults, and against the rate at which this machine multiplies matrices.

Both train the same LoRA on the same rows of the example and the same base model, 16 rows a step, each in a process of
its own and in turns, so that a machine that slows down slows both. Ours is the flow's own step
(tasks.training.train.train: accelerate's launcher, tasks.training.trainer, checkpoints and all). A rate is useful
tokens, padding not counted, by the seconds from the end of one step to the end of the next; the first step warms up and
is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from flows.recipe import Recipe, load_recipe
from tasks.core.handle import Handle
from tasks.core.process.hardware import choose_device_and_dtype
from tasks.core.process.progress import Progress
from tasks.core.work import StepDirs
from tasks.facts.training import Plan, TrainingTold
from tasks.model.chat_template import IGNORED, Message, TokenizedExample, encode, with_system_prompt
from tasks.training.methods.sft import SftSettings
from tasks.training.train import train
from tasks.training.weights.lora import LoraSettings
from tests.benchmarks.example import base_model, conversations, dataset
from tests.benchmarks.table import Figure, Section, spread

ROUNDS = 3  # each trains ours, then TRL's
STEPS = 6  # of each in a round, with the one that warms up
TIMES_FASTER, MATMUL_SHARE = 2.0, 0.8  # the aims


@dataclass(frozen=True)
class Round:
    """Rates of one round. ours, trl: useful tokens a second, a value for each step. flops: operations a second of our
    steps.

    matmul: floating-point operations of a plain product, by dtype.
    """

    ours: Sequence[float]
    flops: Sequence[float]
    trl: Sequence[float]
    matmul: dict[str, float]

    @property
    def times_faster(self) -> float:
        return median(self.ours) / median(self.trl)

    def matmul_share(self, dtype: str) -> float:
        return median(self.flops) / self.matmul[dtype]


class StepClock(Progress):
    """Stands where the train step shows its progress, and notes when each training step ended."""

    def __init__(self) -> None:
        super().__init__("train")
        self.ends: list[float] = []

    def __call__(self, fraction: float, text: str) -> None:
        self.ends.append(time.monotonic())  # there are no validation rows, so each call is the end of a training step


def measure(rounds: int = ROUNDS, steps: int = STEPS) -> Section:
    """Run both in turns; about ten minutes on two cores."""
    recipe = load_recipe("support_triage")
    base, settings = base_model(recipe), SftSettings(epochs=1)
    messages = conversations(recipe, steps * settings.batch_rows)
    done = []
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
            done.append(_round(recipe, base, settings, messages, Path(folder)))
        print(f"  round {number} of {rounds}: {done[-1].times_faster:.2f} times TRL's defaults", flush=True)
    return _section(done, len(messages), steps)


def _round(recipe: Recipe, base: Handle, settings: SftSettings, messages: list[list[Message]], folder: Path) -> Round:
    from transformers import AutoTokenizer

    place = StepDirs(folder / "out", folder / "scratch", clock := StepClock())
    place.scratch.mkdir()
    rows = dataset(messages, folder / "rows")
    made = train(place, settings=settings, prompt=recipe.prompt, base=base, dataset=rows)
    plan = TrainingTold.model_validate(made.told).plan
    tokenizer = AutoTokenizer.from_pretrained(base.folder / "model")
    examples = [encode(tokenizer, turns, recipe.prompt) for turns in messages]
    counts = [_counted(batch) for batch in _batches(examples, plan.micro_batch, settings)][1:]
    seconds = [end - start for start, end in pairwise(clock.ends)]
    return Round(
        ours=[count["tokens"] / s for count, s in zip(counts, seconds, strict=True)],
        flops=[_flops(base, plan, count) / s for count, s in zip(counts, seconds, strict=True)],
        trl=_trl_rates(recipe, base, settings, messages, folder),
        matmul=_matmul_rates(base, plan),
    )


def _batches(examples: list[TokenizedExample], micro: int, settings: SftSettings) -> list[list[TokenizedExample]]:
    """The rows of each training step, in the order that the trainer takes them."""
    from tasks.training.trainer.loop import row_order

    order = row_order([len(e.input_ids) for e in examples], micro, settings.epochs, settings.seed)
    size = settings.batch_rows
    return [[examples[i] for i in order[k : k + size]] for k in range(0, len(order), size)]


def _counted(batch: list[TokenizedExample]) -> dict[str, int]:
    answers = sum(label != IGNORED for example in batch for label in example.labels)
    return {"tokens": sum(len(example.input_ids) for example in batch), "answer_tokens": answers}


def _flops(base: Handle, plan: Plan, count: dict[str, int]) -> float:
    """What the trainer's own estimate counts; from the plan's numbers, so that no model need be loaded."""
    from transformers import AutoConfig

    from tasks.training.trainer.loop import training_flops

    parameters = plan.trainable_parameters, plan.total_parameters
    config = AutoConfig.from_pretrained(base.folder / "model")
    return training_flops(SimpleNamespace(config=config, get_nb_trainable_parameters=lambda: parameters), **count)


def _trl_rates(
    recipe: Recipe, base: Handle, settings: SftSettings, messages: list[list[Message]], folder: Path
) -> list[float]:
    machine, lora = choose_device_and_dtype(), settings.weights
    assert isinstance(lora, LoraSettings)
    spec = {
        "base": str(base.folder / "model"),
        "messages": [with_system_prompt(turns, recipe.prompt) for turns in messages],
        "rank": lora.rank,
        "alpha": lora.alpha,
        "batch_rows": settings.batch_rows,
        "dtype": machine.dtype,
        "device": machine.device,
        "out": str(folder / "trl"),
    }
    (folder / "trl.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "tests.benchmarks.trl_defaults", str(folder / "trl.json")]
    threads = str(SftSettings().threads)  # as many as ours has
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with (folder / "trl.log").open("w+") as log:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, check=False)
        if ended.returncode:
            log.seek(0)
            raise RuntimeError(f"TRL's trainer ended with exit code {ended.returncode}:\n{log.read()[-2000:]}")
    ends = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"tokens"')]
    return [(end["tokens"] - start["tokens"]) / (end["at"] - start["at"]) for start, end in pairwise(ends)]


def _matmul_rates(base: Handle, plan: Plan) -> dict[str, float]:
    """At the shape of the model's MLP, three quarters of its work: a micro-batch of tokens by hidden by intermediate
    size.
    """
    import torch
    from transformers import AutoConfig

    from tasks.training.trainer.loop import matmul_rate

    config = AutoConfig.from_pretrained(base.folder / "model")
    tokens = plan.micro_batch * plan.tokens // plan.rows
    return {
        dtype: matmul_rate(tokens, config.hidden_size, config.intermediate_size, getattr(torch, dtype), plan.device)
        for dtype in dict.fromkeys(("float32", plan.dtype))
    }


def _section(done: Sequence[Round], rows: int, steps: int) -> Section:
    dtype = choose_device_and_dtype().dtype
    faster, shares = [r.times_faster for r in done], [r.matmul_share(dtype) for r in done]
    rates = {name: spread([r.matmul[name] / 1e9 for r in done], " GFLOP/s") for name in done[0].matmul}
    return Section(
        "Training",
        f"{rows} rows of the example, 16 a step; {len(done)} rounds of {steps} steps each, in turns. Rates are "
        f"medians over "
        "the steps after the first, ratios are medians over the rounds; smallest and largest in brackets.",
        [
            Figure("our train step, useful tokens a second", spread([x for r in done for x in r.ours])),
            Figure("TRL's `SFTTrainer` at its defaults", spread([x for r in done for x in r.trl])),
            Figure(
                "ours by TRL's",
                spread(faster, " times", 2),
                f"at least {TIMES_FASTER:g} times",
                median(faster) >= TIMES_FASTER,
            ),
            *(Figure(f"matrix product in {name}", rate) for name, rate in rates.items()),
            Figure(
                f"our step's share of the {dtype} rate",
                spread([100 * share for share in shares], " %"),
                f"at least {MATMUL_SHARE:.0%}",
                median(shares) >= MATMUL_SHARE,
            ),
        ],
        [
            "TRL's defaults here: gradient checkpointing, eight rows at a time in no order of length, every token "
            "scored, "
            + (
                "bfloat16 by autocast."
                if dtype == "bfloat16"
                else "but float32: bfloat16 would crawl on this processor."
            ),
            "Operations counted for the share are those that the result needs (`training_flops`): 4 for a frozen "
            "weight and "
            "token, 6 for an adapter weight, the output layer for answer tokens alone. Attention scores, padding, "
            "normalisation and the optimiser are not counted, so that their time lowers the share.",
        ],
    )
