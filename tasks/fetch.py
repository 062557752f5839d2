"""Fetch the base model, so that every later step finds it below ASSAY_HOME."""

from __future__ import annotations

from tasks.core.base_model import BaseModelSettings, FoundModel, write_model
from tasks.core.step import Made, Place


def fetch(place: Place, *, settings: BaseModelSettings, found: FoundModel) -> Made:
    """Write the model to place.out/model. Raises as write_model does."""
    facts = write_model(place.out / "model", settings, found)
    line = f"{settings.source}, {facts.parameters / 1e6:,.0f} M parameters"
    told = {"source": settings.source}  # elsewhere tomorrow, and still the same model
    return Made("model", line, facts.written(), told=told)
