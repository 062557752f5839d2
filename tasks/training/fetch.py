"""Fetch the base model, so that every later step finds it below ASSAY_HOME."""

from __future__ import annotations

from pathlib import Path

from tasks.core.work import StepDirs, StepResult
from tasks.model.base_model import BaseModelSettings, FoundModel, write_model
from tasks.model.loading import load_weights
from tasks.model.model_checks import refused


def fetch(place: StepDirs, *, settings: BaseModelSettings, found: FoundModel) -> StepResult:
    """Write the model to place.out/model. Raises as write_model does, and RecipeError for one that takes no adapter."""
    facts = write_model(place.out / "model", settings, found)
    check_adaptable(place.out / "model")
    line = f"{settings.source}, {facts.parameters / 1e6:,.0f} M parameters"
    line += f", commit {facts.commit[:12]}" if facts.commit else ""
    told = {"source": settings.source, "commit": facts.commit}  # elsewhere tomorrow, and still the same model
    return StepResult("model", line, facts.written(), told=told)


def check_adaptable(model: Path) -> None:
    """Raise RecipeError for a model whose layers PEFT cannot adapt, as those of state-space models."""
    from peft import LoraConfig, get_peft_model

    empty = load_weights(model, device_map="meta")
    try:
        get_peft_model(empty, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"), low_cpu_mem_usage=True)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise refused(f"The base model cannot be adapted: {reason}", "name a model of attention layers") from error
