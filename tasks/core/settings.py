"""The base of every step's settings: unknown keys are refused, values are fixed once read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A step's settings, declared beside the step; the recipe composes them (flows/recipe.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
