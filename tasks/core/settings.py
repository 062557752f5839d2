"""The base of every step's settings: unknown keys are refused, values are fixed once read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A step's settings, declared beside the step; the recipe composes them (flows/recipe.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def fitted(self, recipe: Any, folder: Path) -> Self:
        """These settings, once they fit the rest of the recipe, with what they take from files beside it.

        Asked before a run starts, for what no settings can see alone. recipe: the whole Recipe, a type that steps do
        not know; only its settings are read. folder: where relative paths start from. Raises MisfitError or
        RecipeError.
        """
        return self

    def members(self) -> tuple[str, ...]:
        """Modules that these settings choose (tasks/core/members.py): their code does the work beside the step's own,
        and is part of its cache key.
        """
        return ()


class MisfitError(Exception):
    """A value that is well formed and does not go with the rest of the recipe, or with what lies beside it.

    location: of the value below its settings, or below those of another `section` of the recipe. got: the name that is
    not among those `known`.
    """

    def __init__(
        self,
        location: Sequence[str | int],
        problem: str,
        *,
        section: str = "",
        got: str = "",
        known: Sequence[str] = (),
        todo: str = "",
    ) -> None:
        super().__init__(problem)
        self.location, self.problem, self.section = location, problem, section
        self.got, self.known, self.todo = got, known, todo
