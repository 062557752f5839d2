"""What a row step hands on beside its rows."""

from __future__ import annotations

from pydantic import Field

from tasks.core.facts.base import Facts


class RowFacts(Facts):
    """Rows that came in (`in` in the file) and that were kept. counts: rows by action and reason."""

    came: int = Field(validation_alias="in", serialization_alias="in")
    kept: int
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
