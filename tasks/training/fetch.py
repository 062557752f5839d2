"""Fetch the base model, so that every later step finds it below ASSAY_HOME."""

from __future__ import annotations

from tasks.core.work import StepDirs, StepResult
from tasks.model.base_model import BaseModelSettings, FoundModel, write_model


def fetch(place: StepDirs, *, settings: BaseModelSettings, found: FoundModel) -> StepResult:
    """Write the model to place.out/model. Raises as write_model does."""
    facts = write_model(place.out / "model", settings, found)
    line = f"{settings.source}, {facts.parameters / 1e6:,.0f} M parameters"
    line += f", commit {facts.commit[:12]}" if facts.commit else ""
    told = {"source": settings.source, "commit": facts.commit}  # elsewhere tomorrow, and still the same model
    return StepResult("model", line, facts.written(), told=told)
