"""The base of what a step hands on as facts: typed, frozen, and able to read what an older version left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.handle import Handle


class Facts(BaseModel):
    """The facts of one kind of result. Keys that another version left beside them are ignored.

    What is written to facts.json is part of the artifact's digest; its keys stand in the order of the fields.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
        validate_by_name=True,
        validate_by_alias=True,
        ser_json_inf_nan="constants",  # a loss that is no number stays one that is none
    )

    @classmethod
    def of(cls, handle: Handle) -> Self:
        """The facts that the step of this handle left. Raises pydantic's ValidationError when it is of another kind."""
        return cls.model_validate(handle.facts())

    @classmethod
    def read(cls, file: Path) -> Self:
        """The facts of a file of JSON, as evidence in the registry keeps them. Raises pydantic's ValidationError."""
        return cls.model_validate_json(file.read_bytes())

    def written(self) -> dict[str, Any]:
        """As JSON, for facts.json or told.json."""
        return self.model_dump(mode="json", by_alias=True)


class RowFacts(Facts):
    """Of every row step. Rows that came in (`in` in the file) and that were kept; counts: rows by action and reason."""

    came: int = Field(validation_alias="in", serialization_alias="in")
    kept: int
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
