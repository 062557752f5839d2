"""The parts of the training loop that are ours for every method: the order of rows and the time estimate.

The order saves padding: rows of like length are computed together.
"""

from __future__ import annotations

import random
import time
from typing import Any

import torch

from tasks.facts.training import TokenCounts

# Share of the measured matmul rate that training reaches (tests/benchmarks/RESULTS.md: 0.37 to 0.46 in bfloat16,
# 2026-11-24): in it the products are so quick that the rest, elementwise work, takes more than half of the time.
MATMUL_SHARE = {torch.float32: 0.8, torch.bfloat16: 0.4}


def row_order(lengths: list[int], micro: int, epochs: int, seed: int) -> list[int]:
    """Row numbers for all epochs in the order they are trained, micro-batch by micro-batch.

    Each epoch sorts the rows by length with a little noise, cuts them into micro-batches of `micro` rows, and shuffles
    the micro-batches: hardly any padding, yet a step of several micro-batches sees short and long rows together. The
    rows that do not fill an epoch's last micro-batch wait for the end, so that later micro-batches keep their cut.
    """
    dice = random.Random(seed)
    order: list[int] = []
    waiting: list[int] = []
    for _ in range(epochs):
        left = set(dice.sample(range(len(lengths)), len(lengths) % micro))
        full = [i for i in range(len(lengths)) if i not in left]
        rows = sorted(full, key=lambda i: lengths[i] * dice.uniform(0.97, 1.03))
        batches = [rows[i : i + micro] for i in range(0, len(rows), micro)]
        dice.shuffle(batches)
        order += [i for batch in batches for i in batch]
        waiting += sorted(left)
    return order + sorted(waiting, key=lambda i: lengths[i])


def padding_share(lengths: list[int], order: list[int], micro: int) -> float:
    """Share of computed positions that are padding, 0 to 1."""
    batches = [[lengths[i] for i in order[k : k + micro]] for k in range(0, len(order), micro)]
    computed = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / computed


def matmul_rate(rows: int, inner: int, outer: int, dtype: torch.dtype, device: str) -> float:
    """Floating-point operations a second of a (rows x inner) by (inner x outer) product; the best of a few repeats."""
    left, right = (
        torch.randn(rows, inner, dtype=dtype, device=device),
        torch.randn(inner, outer, dtype=dtype, device=device),
    )
    best = 0.0
    for _ in range(8):
        started = time.perf_counter()
        for _ in range(4):
            left @ right
        if device != "cpu":
            torch.accelerator.synchronize()
        best = max(best, 8 * rows * inner * outer / (time.perf_counter() - started))
    return best


def parameters_of(model: Any) -> tuple[int, int]:
    """How many parameters are trained, and how many there are; PEFT counts quantised ones as what they stand for."""
    if hasattr(model, "get_nb_trainable_parameters"):
        trainable, total = model.get_nb_trainable_parameters()
        return trainable, total
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


def training_flops(model: Any, tokens: int, answer_tokens: int) -> float:
    """Operations of training on so many tokens, answer_tokens of them in answers.

    Forward and back through frozen weights are 2 + 2 operations a weight and token (no gradient of the weights
    themselves), trained ones are 2 + 4; a frozen output layer counts for answer tokens only.
    """
    trainable, total = parameters_of(model)
    into, out = (layer.weight for layer in (model.get_input_embeddings(), model.get_output_embeddings()))
    head = out.numel()
    frozen = max(0, total - trainable - head * (1 if into is out else 2))
    return float(tokens * (4 * frozen + 6 * trainable) + answer_tokens * 4 * head)


def estimate_seconds(model: Any, counted: TokenCounts, epochs: int, micro: int) -> float:
    """Expected seconds of training, from this machine's matmul rate measured now at the model's own shapes."""
    rows = max(1, micro * counted.tokens // max(1, counted.rows))
    weights, hidden = next(model.parameters()), hidden_size(model)
    outer = getattr(model.config.get_text_config(), "intermediate_size", None)
    outer = outer if isinstance(outer, int) else 4 * hidden
    rate = matmul_rate(rows, hidden, outer, weights.dtype, str(weights.device))
    share = MATMUL_SHARE.get(weights.dtype, MATMUL_SHARE[torch.bfloat16])
    return epochs * training_flops(model, counted.tokens, counted.answer_tokens) / (share * rate)


def hidden_size(model: Any) -> int:
    """The width of the model, of its embedding: each family's configuration has another name and place for it."""
    return int(model.get_input_embeddings().weight.shape[-1])


def leaves_experts_out(model: Any) -> bool:
    """Whether the model has experts that are not trained: one tensor of all of them is no linear layer to adapt."""
    trained = {parameter.requires_grad for name, parameter in model.named_parameters() if ".experts." in name}
    return trained == {False}
