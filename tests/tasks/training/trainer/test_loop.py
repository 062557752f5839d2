"""The training loop's own parts: the loss is the reference's, batching does not change it, and no row is left out."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig

from tasks.facts.training import TokenCounts
from tasks.model.chat_template import IGNORED, PromptSettings, encode
from tasks.training.answer_trainer import AnswerTrainer
from tasks.training.trainer.loop import (
    estimate_seconds,
    hidden_size,
    leaves_experts_out,
    matmul_rate,
    padding_share,
    row_order,
    training_flops,
)
from tests.support.tiny_model import tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"), ["Where is my parcel?", "on its way"])


@pytest.fixture(scope="module")
def data(base: Path) -> Dataset:
    """Eight rows, prompts and answers all of different lengths."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    texts = [{"user": "Where? " * (1 + n * 3 % 8), "assistant": "way " * (1 + n)} for n in range(8)]
    said = [[{"role": role, "content": content} for role, content in text.items()] for text in texts]
    examples = [encode(tokenizer, messages, PromptSettings()) for messages in said]
    return Dataset.from_dict({"input_ids": [e.input_ids for e in examples], "labels": [e.labels for e in examples]})


def adapted(base: Path) -> Any:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(base)
    return get_peft_model(
        model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    )


def trainer(base: Path, data: Dataset, folder: Path, micro: int = 8, accumulate: int = 1) -> AnswerTrainer:
    return AnswerTrainer(
        model=adapted(base),
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=data,
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=accumulate,
            max_steps=1,
            optim="sgd",
            learning_rate=1.0,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            train_sampling_strategy="sequential",
            max_length=None,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        ),
    )


def reference(model: Any, batch: dict[str, torch.Tensor]) -> tuple[float, float]:
    """The loss transformers itself computes, and the same written out with no shift left to anybody."""
    with torch.no_grad():
        out = model(**batch)
    wanted, told = batch["labels"][:, 1:], out.logits[:, :-1].float()
    by_hand = functional.cross_entropy(told.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)
    return float(out.loss), float(by_hand)


def loss(loop: AnswerTrainer, batch: dict[str, torch.Tensor], **more: Any) -> float:
    with torch.no_grad():
        return float(loop.compute_loss(loop.model, dict(batch), **more))


def test_the_loss_is_that_of_transformers_on_the_same_batch(base: Path, data: Dataset, tmp_path: Path) -> None:
    loop = trainer(base, data, tmp_path)
    batch = next(iter(loop.get_train_dataloader()))
    assert batch["input_ids"].shape[0] == 8
    assert int((batch["labels"] != IGNORED).sum()) == sum(label != IGNORED for row in data["labels"] for label in row)
    theirs, by_hand = reference(loop.model, batch)
    ours = loss(loop, batch)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert ours == pytest.approx(by_hand, rel=1e-5)
    answer_tokens = int((batch["labels"] != IGNORED).sum())
    assert loss(loop, batch, num_items_in_batch=torch.tensor(1000)) == pytest.approx(
        ours * answer_tokens / 1000, rel=1e-5
    )


@pytest.mark.parametrize("kept", [slice(0, 3), slice(1, 2), slice(-1, None), slice(0, None)])
def test_the_loss_is_right_wherever_the_answer_stands(base: Path, data: Dataset, tmp_path: Path, kept: slice) -> None:
    loop = trainer(base, data, tmp_path)
    ids = torch.tensor([data["input_ids"][0]])
    labels = torch.full_like(ids, IGNORED)
    labels[:, kept] = ids[:, kept]
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    wanted = reference(loop.model, batch)[1]
    # A label at position 0 has nothing before it to predict it, so it counts neither in the sum nor in the mean.
    assert loss(loop, batch) == pytest.approx(wanted, rel=1e-5)


def test_accumulation_does_not_change_the_step(base: Path, data: Dataset, tmp_path: Path) -> None:
    before = {name: weight.detach().clone() for name, weight in adapted(base).named_parameters() if "lora" in name}
    steps: list[dict[str, torch.Tensor]] = []
    for micro, accumulate in ((8, 1), (4, 2), (1, 8)):
        loop = trainer(base, data, tmp_path, micro, accumulate)
        loop.train()
        after = {name: weight.detach() for name, weight in loop.model.named_parameters() if "lora" in name}
        steps.append({name: after[name] - before[name] for name in before})
    for name, step in steps[0].items():
        assert step.abs().max() > 1e-4, name
        for other in steps[1:]:
            torch.testing.assert_close(other[name], step, rtol=1e-3, atol=1e-6)


@given(LENGTHS, st.integers(1, 8), st.integers(1, 5), st.integers(0, 3))
def test_every_row_is_trained_once_an_epoch(lengths: list[int], micro: int, epochs: int, seed: int) -> None:
    order = row_order(lengths, micro, epochs, seed)
    assert Counter(order) == dict.fromkeys(range(len(lengths)), epochs)
    full = len(lengths) - len(lengths) % micro  # those of an epoch that fill micro-batches; the rest come at the end
    for k in range(epochs):
        assert len(set(order[k * full : (k + 1) * full])) == full
    assert row_order(lengths, micro, epochs, seed) == order


def test_the_order_follows_the_seed_and_differs_from_epoch_to_epoch() -> None:
    lengths = [random.Random(n).randint(20, 300) for n in range(64)]
    order = row_order(lengths, 4, 2, 7)
    assert order[:64] != order[64:]
    assert row_order(lengths, 4, 2, 8) != order
    first = [lengths[i] for i in order[:64]]
    assert first != sorted(first)  # the short rows do not all come first


def test_rows_of_like_length_are_computed_together() -> None:
    dice = random.Random(1)
    lengths = [dice.randint(20, 300) for _ in range(200)]
    given_order = list(range(200))
    assert padding_share(lengths, given_order, 4) > 0.25
    assert padding_share(lengths, row_order(lengths, 4, 1, 7), 4) < 0.05
    assert padding_share([7] * 8, list(range(8)), 4) == 0
    assert padding_share([1, 3], [0, 1], 2) == pytest.approx(2 / 6)


def test_the_estimate_grows_with_the_work(base: Path) -> None:
    model = adapted(base)
    flops = [training_flops(model, tokens, tokens // 4) for tokens in (1000, 2000, 4000)]
    assert all(a > 0 and b == pytest.approx(2 * a) for a, b in itertools.pairwise(flops))
    assert matmul_rate(16, 64, 128, torch.float32, "cpu") > 0
    counted = TokenCounts(rows=10, validation_rows=0, tokens=1000, longest=200, answer_tokens=250)
    assert estimate_seconds(model, counted, epochs=1, micro=4) > 0


ODD = {  # without hidden_size or intermediate_size where Llama has them
    "gemma3": {"text_config": {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}},
    "mpt": {"vocab_size": 64, "d_model": 32, "n_heads": 2, "n_layers": 1},
    "bloom": {"vocab_size": 64, "hidden_size": 32, "n_layer": 1, "n_head": 2},
}
EXPERTS = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
EXPERTS |= {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}


def made(kind: str, settings: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind, **settings)
    model = AutoModelForCausalLM.from_config(config.get_text_config())
    return get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))


@pytest.mark.parametrize("kind", ODD)
def test_an_estimate_is_made_for_every_family(kind: str) -> None:
    model, counted = made(kind, ODD[kind]), TokenCounts(rows=2, validation_rows=0, tokens=8, longest=4, answer_tokens=4)
    assert hidden_size(model) == 32
    assert estimate_seconds(model, counted, epochs=1, micro=1) > 0


def test_a_mixture_of_experts_says_that_its_experts_are_not_adapted(base: Path) -> None:
    assert leaves_experts_out(made("gpt_oss", {**EXPERTS, "head_dim": 16}))
    assert not leaves_experts_out(made("mixtral", EXPERTS))  # which PEFT knows how to adapt
    assert not leaves_experts_out(adapted(base))
