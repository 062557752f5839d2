"""A language model for tests: built in a blink, the same bytes each time, nothing downloaded.

    base = tiny_model(tmp_path / "base", ["Where is my parcel?", '{"intent": "order_status"}'])
    adapter = tiny_adapter(base, tmp_path / "adapter")

It has everything a real one has (safetensors, byte-level BPE tokenizer, ChatML template, end-of-turn token) and knows
nothing: its answers are noise, and always the same noise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTEXT = 512  # tokens; short enough that a test can write a row that is too long


def tiny_model(folder: Path, texts: list[str]) -> Path:
    """Write a two-layer Llama (hidden 64) with a tokenizer of at most 512 tokens, trained on
    `texts`; returns `folder`.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,  # the usual 0.02 leaves logits so alike that one token wins everywhere
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_adapter(base: Path, out: Path, seed: int = 1) -> Path:
    """Write a LoRA adapter whose weights are all random, so that it changes answers, as a PEFT
    folder; returns `out`.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    tuned: Any = get_peft_model(
        model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(tuned.named_parameters()):
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=dice) * 0.3)
    tuned.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    # As the trainer does.
    config |= {
        "base_model_name_or_path": None,
        "target_modules": sorted(config["target_modules"]),
    }
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True))
    return out


def tiny_tokenizer(
    texts: list[str],
    special: tuple[str, ...] = (PAD, START, END),
    added: tuple[str, ...] = (),
    bos: str = "",
    eos: str = END,
    template: str | dict[str, str] = CHATML,
    sentencepiece: bool = False,
    strips: bool = False,
) -> Any:
    """A byte-level BPE tokenizer of at most 512 tokens, trained on `texts`.

    added: tokens that are not special. sentencepiece: a blank goes before every text, as Llama's does it. strips:
    special tokens swallow the white space behind them, as Phi-3's do.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=sentencepiece)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=[*dict.fromkeys((PAD, *special))] if special != (PAD, START, END) else [*special],
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # every byte, so that no text is unknown
        ),
    )
    if strips:
        bpe.add_special_tokens([AddedToken(token, rstrip=True) for token in special])
    bpe.add_tokens([AddedToken(token, normalized=False) for token in added])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=eos,
        pad_token=PAD,
        **({"bos_token": bos} if bos else {}),
        additional_special_tokens=[token for token in special if token not in (PAD, eos, bos)],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer
