"""A base model is looked at when it is fetched: what would train on random weights, or fail hours later, is refused.

transformers fills in whatever a file lacks with random numbers, anew at each load, and says so in a log line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.core.errors import RecipeError
from tasks.model.loading import load_tokenizer, load_weights

# What the name of an architecture ends with whose head gives classes and no words.
CLASSIFIERS = ("Classification", "QuestionAnswering", "MultipleChoice", "RewardModel")
NAMED = 3  # tensors or tokens named in an error
WHOLE = "a causal language model as config.json, whole unquantised safetensors and a tokenizer"


def refused(what: str, todo: str) -> RecipeError:
    """The error for a base model that cannot be used."""
    return RecipeError(what, where="recipe: base_model.source", allowed=WHOLE, todo=todo)


def check_source(folder: Path) -> None:
    """Raise RecipeError for an adapter, alone or beside its base, to which transformers would attach it in silence."""
    if (folder / "adapter_config.json").exists():
        raise refused(
            "The base model's folder holds an adapter (adapter_config.json), which would be attached to it unseen.",
            "merge the adapter into its base model and name that, or name a folder without it",
        )


def check_model(folder: Path, weights: Sequence[Path]) -> None:
    """Raise RecipeError for a model of another kind, one that lacks tensors, or one whose numbers or tokens are wrong.

    weights: its files of safetensors. Each is read once; no model is built.
    """
    config = _config(folder)
    _check_kind(config)
    model, loaded = _tried(lambda: load_weights(folder, device_map="meta", output_loading_info=True), "weights")
    check_loaded(loaded)
    _check_numbers(weights)
    check_tokens(load_tokens(folder), model.get_input_embeddings().weight.shape[0])


def check_loaded(loaded: dict[str, Any]) -> None:
    """Raise RecipeError where transformers had to make up tensors. loaded: its loading info."""
    absent = sorted([*loaded["missing_keys"], *(str(key) for key in loaded["mismatched_keys"])])
    if absent:
        raise refused(
            f"The base model's files lack {len(absent):,} tensors that its architecture has: {_some(absent)}.",
            "complete the download; a model without its head, or one that was made a classifier, writes no text",
        )


def load_tokens(folder: Path) -> Any:
    """The tokenizer. Raises RecipeError where there is none."""
    tokenizer = _tried(lambda: load_tokenizer(folder), "tokenizer")
    if not len(tokenizer):
        raise refused("The base model's folder holds no tokenizer.", "add the tokenizer's files (tokenizer.json)")
    return tokenizer


def check_tokens(tokenizer: Any, rows: int) -> None:
    """Raise RecipeError for tokens without a row in the embedding, which end a run with an index error. rows: it has.

    A special token that neither the chat template nor the tokenizer's own ends use is never met.
    """
    template = str(tokenizer.chat_template or "")
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    unused = special - {tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token}
    beyond = {token: at for token, at in tokenizer.get_vocab().items() if at >= rows}
    met = [token for token in sorted(beyond, key=beyond.__getitem__) if token not in unused or token in template]
    if met:
        raise refused(
            f"The base model's tokenizer has {len(met):,} tokens beyond its embedding of {rows:,}: {_some(met)}.",
            "take the tokenizer that belongs to these weights, or resize the embedding and save the model again",
        )


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    return _tried(lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False), "config.json")


def _check_kind(config: Any) -> None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind = (getattr(config, "architectures", None) or [type(config).__name__])[0]
    if getattr(config, "quantization_config", None):
        raise refused("The base model is quantised.", "name the unquantised model that it was made from")
    if getattr(config, "is_encoder_decoder", False):
        raise refused(f"The base model is an encoder-decoder ({kind}).", "name a decoder-only model")
    if kind.endswith(CLASSIFIERS):
        raise refused(f"The base model is a classifier ({kind}): it gives classes, no words.", "name a language model")
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise refused(f"The base model writes no text ({kind}).", "name a language model")


def _check_numbers(files: Sequence[Path]) -> None:
    import torch
    from safetensors import safe_open

    for file in files:
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                tensor = weights.get_tensor(name)
                if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                    raise refused(
                        f"The base model's tensor {name} holds a number that is none (NaN or infinite).",
                        "fetch the model again; training on it would learn nothing",
                    )


def _tried(load: Callable[[], Any], what: str) -> Any:
    """What `load` gives. Raises RecipeError with the library's reason."""
    try:
        return load()
    except Exception as error:  # the library's own kinds differ by file and by version
        code = "trust_remote_code" in str(error) or "custom code" in str(error)
        todo = "code in a model's folder is never run; name a model that transformers knows by itself"
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:300]
        raise refused(
            f"The base model's {what} cannot be read: {'it needs Python code of its own' if code else reason}.",
            todo if code else "complete the model's files, or name another one",
        ) from error


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
