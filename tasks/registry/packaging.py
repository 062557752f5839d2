"""The registered artifact: an MLflow model folder with the adapter, unit.json and the few source files that serve them.

    MLmodel  served_model.py  artifacts/{unit.json, adapter/}  code/tasks/...
    requirements.txt  conda.yaml  input_example.json

No base weights, no pickle, no path of this machine.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.core.code_digest import ROOT, code_digest, code_files
from tasks.core.handle import Handle
from tasks.core.home import digest_path
from tasks.facts.base_model import ModelFacts
from tasks.model.base_model import BaseModelSettings
from tasks.model.chat_template import PromptSettings, stop_ids
from tasks.model.loading import load_tokenizer
from tasks.model.rendering import template_of
from tasks.registry.unit import UNIT, Base, Unit

# What tasks/registry/served_model.py imports at the top of any file it takes along, and what those libraries need to
# read a model.
LIBRARIES = (
    "filelock",
    "gguf",
    "jinja2",
    "mlflow",
    "pandas",
    "peft",
    "polars",
    "psutil",
    "pydantic",
    "safetensors",
    "torch",
    "transformers",
)


def describe(
    prompt: PromptSettings, base_source: BaseModelSettings, base: Handle, adapter: Handle, dataset: Handle
) -> Unit:
    """The unit of these inputs; equal inputs give equal digests on any machine with the same code and libraries."""
    return _unit(resolved(prompt, base.folder / "model"), base_source, base, adapter, dataset)


def is_described(
    unit: Unit, prompt: PromptSettings, base_source: BaseModelSettings, base: Handle, adapter: Handle, dataset: Handle
) -> bool:
    """Whether `unit` is what `describe` gives of these inputs, told without loading a tokenizer: what the prompt leaves
    open comes from the base model, whose digest is part of the unit.
    """
    template, stop = prompt.chat_template or unit.prompt.chat_template, prompt.stop or unit.prompt.stop
    whole = prompt.model_copy(update={"chat_template": template, "stop": stop})
    return _unit(whole, base_source, base, adapter, dataset) == unit


def _unit(
    prompt: PromptSettings, base_source: BaseModelSettings, base: Handle, adapter: Handle, dataset: Handle
) -> Unit:
    """prompt: resolved."""
    from tasks.registry import served_model

    facts = ModelFacts.of(base)
    return Unit(
        base=Base(
            source=portable(base_source.source),
            revision=facts.commit or base_source.revision,  # what a branch meant when it was fetched
            digest=facts.digest,
            parameters=facts.parameters,
        ),
        adapter=digest_path(adapter.folder / "adapter"),
        dataset=dataset.digest,
        prompt=prompt,
        code=code_digest(served_model.__name__),
        requirements=requirements(),
        assay=metadata.version("assay"),
    )


def resolved(prompt: PromptSettings, model: Path) -> PromptSettings:
    """The prompt with the base model's own chat template and stop token written out where the recipe left them open."""
    tokenizer = load_tokenizer(model)
    stop = tuple(str(text) for text in tokenizer.convert_ids_to_tokens(stop_ids(tokenizer, prompt)))
    template = template_of(tokenizer, prompt.chat_template)
    return prompt.model_copy(update={"chat_template": template, "stop": prompt.stop or stop})


def portable(source: str) -> str:
    """A base model's source as it may leave this machine: an absolute or home path keeps only its name."""
    return Path(source).name if source.startswith(("/", "~")) or Path(source).is_absolute() else source


def requirements() -> tuple[str, ...]:
    """The libraries that serving needs, each at the version that was evaluated (local labels such as +cpu left out)."""
    return tuple(f"{name}=={metadata.version(name).split('+')[0]}" for name in LIBRARIES)


def write_model(folder: Path, unit: Unit, adapter: Path, run_id: str, model_id: str) -> None:
    """Write the MLflow model into `folder` (new or empty). adapter: the PEFT folder; run_id, model_id: where it is
    logged.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    from tasks.registry import served_model

    code = code_files(served_model.__name__)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / UNIT).write_text(unit.model_dump_json(indent=1), encoding="utf-8")
        pyfunc.save_model(
            folder,
            python_model=served_model.__file__,
            code_paths=[str(_copy_code(code, place / "tasks"))],
            artifacts={"unit": str(place / UNIT), "adapter": str(adapter)},
            signature=_signature(),
            pip_requirements=list(unit.requirements),
            input_example=_example(),
            metadata={UNIT: unit.digest},
            mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
        )
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    _forget_paths(folder)


def _copy_code(code: dict[str, Path], target: Path) -> Path:
    """The `tasks` package with what serving imports and nothing else, so that data code is not shipped with a model."""
    package = ROOT / "tasks"
    packages = {
        parent / "__init__.py" for file in code.values() for parent in file.parents if parent.is_relative_to(package)
    }
    for file in {*code.values(), *packages}:
        copy = target / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return target


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Object, Property, Schema

    texts = [Property(name, DataType.string, required=False) for name in ("content", "tool_call_id", "name")]
    turn = Object([Property("role", DataType.string), *texts, Property("tool_calls", AnyType(), required=False)])
    asked = [ColSpec("string", "message", required=False), ColSpec(Array(turn), "messages", required=False)]
    asked += [ColSpec(AnyType(), "tools", required=False)]
    told = [ColSpec("string", "answer"), ColSpec(AnyType(), "tool_calls", required=False)]
    return ModelSignature(inputs=Schema(asked), outputs=Schema(told))


def _example() -> Any:
    import pandas as pd

    return pd.DataFrame({"message": ["Hello, I have a question about my order."]})


def _forget_paths(folder: Path) -> None:
    """MLflow notes in MLmodel where each file lay on this machine, and never reads it again: keep the names only."""
    from mlflow.models import Model

    model = Model.load(str(folder))
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    model.save(str(folder / "MLmodel"))
