"""Answers of a batch are the answers of each question alone, whatever a model's attention is."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.model.chat_template import Message, PromptSettings
from tasks.model.generation import Generator
from tasks.model.padding import padding_place
from tests.support.tiny_model import tiny_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["Where is my parcel?", "Hi", "It has been weeks and nobody answers me at all.", "Hi!", "x y z"]
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = {**LAYERS, "hidden_size": 64, "intermediate_size": 96, "num_key_value_heads": 2, "max_position_embeddings": 512}
HEADS = {**LLAMA, "head_dim": 16}
GEMMA = {**HEADS, "sliding_window": 8, "initializer_range": 0.1, "tie_word_embeddings": False}
GEMMA |= {"layer_types": ["sliding_attention", "full_attention"]}
MAMBA = {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "num_experts": 1, "num_experts_per_tok": 1}
LONG = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
# Model type: where it can be padded, and a configuration; windows are shorter than the prompts.
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Llama": ("llama", "between", LLAMA),
    "Llama with positions that follow the batch": ("llama", "nowhere", {**LLAMA, "rope_parameters": LONG}),
    "Mistral with a window": ("mistral", "left", {**LLAMA, "sliding_window": 8}),
    "Mistral without": ("mistral", "between", {**LLAMA, "sliding_window": None}),
    "Qwen 2": ("qwen2", "between", LLAMA),
    "Qwen 2 with windows": (
        "qwen2",
        "left",
        {**LLAMA, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    ),
    "Phi-3 with a window": ("phi3", "left", {**LLAMA, "sliding_window": 8}),
    "Gemma 2": ("gemma2", "left", GEMMA),
    "Gemma 3": ("gemma3_text", "left", GEMMA),
    "gpt-oss": ("gpt_oss", "left", {**HEADS, "sliding_window": 8, "num_local_experts": 2, "num_experts_per_tok": 1}),
    "GPT-NeoX": ("gpt_neox", "between", {**LAYERS, "hidden_size": 64, "intermediate_size": 96}),
    "GPT-Neo": (
        "gpt_neo",
        "left",
        {
            "hidden_size": 64,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 8,
        },
    ),
    "GPT-2": ("gpt2", "left", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512}),
    "MPT": (
        "mpt",
        "left",
        {"d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 512, "tie_word_embeddings": False},
    ),
    "Bloom": ("bloom", "left", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "OLMo": ("olmo", "between", LLAMA),
    "Falcon": ("falcon", "between", {**LAYERS, "hidden_size": 64}),
    "Falcon with ALiBi": ("falcon", "left", {**LAYERS, "hidden_size": 64, "alibi": True}),
    "Mamba": ("mamba", "nowhere", {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}),
    "Jamba": ("jamba", "nowhere", {**LLAMA, **MAMBA}),
}


def model(kind: str, settings: dict[str, Any], tokenizer: Any) -> Any:
    """Random weights, large enough that each prompt is answered in its own way."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokens = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": 0,
    }
    config = AutoConfig.for_model(kind, **{**tokens, "initializer_range": 0.3, **settings})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config)


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_batch_answers_as_each_question_alone(name: str) -> None:
    kind, place, settings = ARCHITECTURES[name]
    tokenizer = tiny_tokenizer(TEXTS)
    speaker = Generator(model(kind, settings, tokenizer), tokenizer, PromptSettings(system="Triage.", max_new_tokens=6))
    assert padding_place(speaker.model) == place
    alone = [speaker.answer([ask(text)])[0] for text in TEXTS]
    assert speaker.answer([ask(text) for text in TEXTS]) == alone
    assert len({answer.text for answer in alone}) > 2  # or the test would say nothing
