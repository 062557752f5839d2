"""A base model that would train on random weights, or fail hours later, is refused when it is fetched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import RecipeError
from tasks.facts.base_model import ModelFacts
from tasks.model.base_model import BaseModelSettings, find_model, write_model
from tests.support.tiny_model import tiny_model

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny", ["Where is my parcel?"])


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def fetched(folder: Path) -> ModelFacts:
    settings = BaseModelSettings(source=str(folder))
    return write_model(folder.parent / "fetched", settings, find_model(settings, folder.parent))


def edit(folder: Path, **keys: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **keys}))


def tensors(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})


def no_layer(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: weight for name, weight in weights.items() if ".layers.1." not in name}


def headless(folder: Path) -> None:
    edit(folder, tie_word_embeddings=False, architectures=["LlamaModel"])


def cut_short(folder: Path) -> None:
    narrow = "model.layers.0.mlp.down_proj.weight"
    tensors(folder, lambda weights: {**weights, narrow: weights[narrow][:, :64].contiguous()})


def not_a_number(folder: Path) -> None:
    tensors(folder, lambda weights: {**weights, "model.norm.weight": weights["model.norm.weight"] * float("nan")})


def fewer_rows(folder: Path) -> None:
    name = "model.embed_tokens.weight"
    tensors(folder, lambda weights: {**weights, name: weights[name][:-5].contiguous()})
    edit(folder, vocab_size=json.loads((folder / "config.json").read_text())["vocab_size"] - 5)


def without_tokenizer(folder: Path) -> None:
    for file in [*folder.glob("tokenizer*")]:
        file.unlink()


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a layer is missing": (lambda f: tensors(f, no_layer), r"lack 9 tensors .*model\.layers\.1\..* \.\.\.\."),
    "there is no head": (headless, r"lack 1 tensors .*: lm_head\.weight\."),
    "a tensor has another shape": (cut_short, "weights cannot be read"),
    "a classifier": (lambda f: edit(f, architectures=["LlamaForSequenceClassification"]), "is a classifier"),
    "an encoder-decoder": (lambda f: edit(f, model_type="t5", is_encoder_decoder=True), "is an encoder-decoder"),
    "an encoder": (lambda f: edit(f, model_type="vit", architectures=["ViTModel"]), "writes no text"),
    "a quantised file": (lambda f: edit(f, quantization_config={"quant_method": "gptq", "bits": 4}), "is quantised"),
    "an adapter beside it": (lambda f: (f / "adapter_config.json").write_text("{}"), "holds an adapter"),
    "a number that is none": (not_a_number, r"tensor model\.norm\.weight holds a number that is none"),
    "tokens beyond the embedding": (fewer_rows, "has 5 tokens beyond its embedding of"),
    "no tokenizer": (without_tokenizer, "tokenizer cannot be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_base_model_with_a_fault_is_refused_in_words(folder: Path, fault: str) -> None:
    spoil, reason = FAULTS[fault]
    spoil(folder)
    with pytest.raises(RecipeError, match=reason) as caught:
        fetched(folder)
    assert caught.value.where == "recipe: base_model.source"
    assert caught.value.todo


def test_weights_that_lie_there_twice_are_counted_once(whole: Path, folder: Path) -> None:
    shutil.copyfile(folder / WEIGHTS, folder / "consolidated.safetensors")
    (folder / WEIGHTS).rename(folder / "model-00001-of-00001.safetensors")
    from safetensors import safe_open

    with safe_open(folder / "model-00001-of-00001.safetensors", "pt") as weights:
        names = [*weights.keys()]
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    facts = fetched(folder)
    shutil.rmtree(folder)
    assert facts.parameters == fetched(Path(shutil.copytree(whole, folder.parent / "again" / "model"))).parameters
    assert not (folder.parent / "fetched" / "consolidated.safetensors").exists()


def test_a_special_token_beyond_the_embedding_that_nothing_writes_is_no_fault(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|start_of_picture|>"]})
    tokenizer.save_pretrained(folder)
    assert fetched(folder).parameters
