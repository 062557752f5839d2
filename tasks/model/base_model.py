"""The base model: any source becomes one local folder of safetensors and tokenizer, pinned by digest.

found = find_model(settings, folder)                  # looks, loads nothing
facts = write_model(target, settings, found)          # ModelFacts: digest, parameters, context, architecture
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.core.allowed_folders import check_inside
from tasks.core.errors import OutsideError, RecipeError
from tasks.core.home import digest_path
from tasks.core.settings import Settings
from tasks.core.urls import is_address
from tasks.facts.base_model import ModelFacts
from tasks.model.loading import load_tokenizer, load_weights
from tasks.model.model_checks import check_loaded, check_model, check_source

CONTEXTS = ("max_position_embeddings", "n_positions")  # what a config.json calls the context; the second is GPT-2's
# What stays behind: weights that could run code when they are loaded, Python, which is never run, and the same weights
# once more in another library's form.
LEFT_BEHIND = ("*.bin", "*.pt", "*.pth", "*.h5", "*.ckpt", "*.py", "consolidated*")
SOURCES = "a hub id (org/name), a local folder, a .gguf file, or package:<module>/<file.gguf> of an installed package"


class BaseModelSettings(Settings):
    """Which pretrained model to adapt."""

    # A hub id (org/name), a local folder, a .gguf file, or package:<module>/<file.gguf> of an installed package.
    source: str
    # A hub branch, tag or commit; a commit pins the weights for good, the digest in the registry proves them either
    # way.
    revision: str = "main"

    @field_validator("source")
    @classmethod
    def _is_a_source(cls, value: str) -> str:
        if not value.strip():
            raise ValueError(f"empty; allowed: {SOURCES}")
        if is_address(value):
            raise ValueError(f"a URL is no base model; allowed: {SOURCES}")
        return value


class FoundModel(BaseModel):
    """Where a source was found. location stays out of the cache key: a digest names the same weights on any machine."""

    model_config = ConfigDict(frozen=True)

    digest: str  # sha256 of the file or folder; the revision for a hub id
    location: str = Field(default="", exclude=True)  # absolute path; empty for a hub id


def find_model(settings: BaseModelSettings, base: Path) -> FoundModel:
    """Look the source up without loading it. Raises RecipeError when it should be on this machine and is not.

    base: the folder that relative paths start from (the recipe's).
    """
    source = settings.source
    if source.startswith("package:"):
        module, _, file = source.removeprefix("package:").partition("/")
        folder = _package_folder(module)
        if folder is None or not (folder / file).is_file():
            raise _missing(settings, f"install the Python package that holds {module}/{file}")
        return _found(settings, folder / file)
    path = (base / Path(source).expanduser()).resolve()
    if path.exists():
        return _found(settings, check_inside(path, "recipe: base_model.source"))
    if source.endswith(".gguf") or source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise _missing(settings, "correct base_model.source in the recipe")
    return FoundModel(digest=settings.revision)


def _package_folder(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a parent package is missing; or no name at all
        return None
    places = (spec and spec.submodule_search_locations) or []
    return next(map(Path, places), None)


def _found(settings: BaseModelSettings, path: Path) -> FoundModel:
    if path.is_file() and path.suffix != ".gguf":
        raise _missing(settings, "name the model's folder, not one file in it")
    return FoundModel(digest=digest_path(path), location=str(path))


def write_model(target: Path, settings: BaseModelSettings, found: FoundModel) -> ModelFacts:
    """Write the model to the new folder `target`; returns what is known of it.

    A GGUF is dequantised to float32, so the digest is of the weights that train. Raises RecipeError for a source
    without usable weights (tasks/model/model_checks.py), OutsideError for a hub that does not answer.
    """
    source = Path(found.location) if found.location else _download(settings)
    check_source(source)
    if source.is_dir():
        ignored = shutil.ignore_patterns(*LEFT_BEHIND, ".*")
        shutil.copytree(source, target, copy_function=_link_or_copy, ignore=ignored)
    else:
        _convert_gguf(source, target)
    # The hub's cache names a snapshot's folder by its commit.
    return _describe(target, settings, commit="" if found.location else source.name)


def _link_or_copy(source: str, target: str) -> None:
    """Weights are large and never written to, so a hard link serves where the file system has them."""
    try:
        # The hub's cache is a folder of symbolic links, which would not travel.
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def _convert_gguf(file: Path, target: Path) -> None:
    import torch

    tokenizer = load_tokenizer(str(file.parent), gguf_file=file.name)
    model, loaded = load_weights(str(file.parent), gguf_file=file.name, dtype=torch.float32, output_loading_info=True)
    check_loaded(loaded)
    model.hf_quantizer = None  # it is dequantised already; with this left on, transformers refuses to save
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _download(settings: BaseModelSettings) -> Path:
    """The model's folder in the hub's own cache, which goes on with a broken download and needs no network for a whole
    one.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(settings.source, revision=settings.revision, ignore_patterns=list(LEFT_BEHIND)))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise _missing(settings, "check the id and the revision, and that you may read it") from error
    except Exception as error:  # no route, time-out, 5xx, a broken transfer: what a retry may heal
        raise OutsideError(
            f"The model hub did not give {settings.source!r}: {error}",
            where="recipe: base_model.source",
            allowed=SOURCES,
            todo="check the network, or name a model that is on this machine",
        ) from error


def _describe(target: Path, settings: BaseModelSettings, commit: str) -> ModelFacts:
    from safetensors import safe_open

    files = _weights(target, settings)
    check_model(target, files)
    parameters = 0
    for file in files:
        with safe_open(file, "pt") as weights:
            parameters += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    config = json.loads((target / "config.json").read_text())
    return ModelFacts(
        digest=digest_path(target),
        parameters=parameters,
        context=context_of(config),
        architecture=(config.get("architectures") or ["?"])[0],
        commit=commit,
    )


def context_of(config: dict[str, Any]) -> int | None:
    """The tokens that a model can read, by its config.json; None where it names no limit."""
    told = {**config, **(config.get("text_config") or {})}  # of one that sees pictures too, the part that reads text
    return next(filter(None, map(told.get, CONTEXTS)), None)


def _weights(target: Path, settings: BaseModelSettings) -> list[Path]:
    """The files of weights, all of those that the index names. A partly copied model must not train."""
    index = target / "model.safetensors.index.json"
    named = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else set()
    files = sorted(file for file in target.glob("*.safetensors") if not named or file.name in named)
    if not files or not (target / "config.json").is_file():
        raise _missing(
            settings, "use a model published as config.json and safetensors; pickled weights are never loaded"
        )
    if absent := sorted(named - {file.name for file in files}):
        raise _missing(settings, f"complete it: {absent[0]}, which its index names, is not there")
    return files


def _missing(settings: BaseModelSettings, todo: str) -> RecipeError:
    return RecipeError(
        f"There is no usable base model at {settings.source!r}.",
        where="recipe: base_model.source",
        allowed=SOURCES,
        todo=todo,
    )
