"""The base of every step's settings: unknown keys are refused, values are fixed once read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A step's settings, declared beside the step; the recipe composes them (flows/recipe.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DatasetKind(Settings):
    """What a dataset's rows are (tasks/core/ledger.py says how each lies in a row); steps that differ by kind are given it."""

    # sft: conversations. preference: a prompt, the chosen and the rejected answer. classification: a text and its label.
    name: Literal["sft", "preference", "classification"] = "sft"
