"""What account hands on beside the dataset."""

from __future__ import annotations

from pydantic import Field

from tasks.core.facts import Facts


class StepRows(Facts):
    """One step of the waterfall: how many rows came in (`in` in the file), and what became of them."""

    step: str
    came: int = Field(validation_alias="in", serialization_alias="in")
    kept: int
    dropped: int
    quarantined: int
    changed: int


class ClosedStep(Facts):
    """A row step that the books were closed over, and the digest of what it left."""

    step: str
    digest: str


class DatasetFacts(Facts):
    """The books: raw = kept + dropped + quarantined. reasons: rows by action and `step: reason`.

    steps: empty in datasets of before they were noted.
    """

    waterfall: list[StepRows] = Field(default_factory=list)
    raw: int
    kept: int
    dropped: int
    quarantined: int
    reasons: dict[str, dict[str, int]] = Field(default_factory=dict)
    steps: list[ClosedStep] = Field(default_factory=list)

    @property
    def totals(self) -> dict[str, int]:
        """The four figures of the books by name, as people are told them."""
        return {"raw": self.raw, "kept": self.kept, "dropped": self.dropped, "quarantined": self.quarantined}


class DatasetTold(Facts):
    """What the dataset came from, no part of its digest. sources: digests by name. decisions: how many."""

    sources: dict[str, str] = Field(default_factory=dict)
    decisions: int = 0
