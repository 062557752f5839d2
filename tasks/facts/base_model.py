"""What fetch hands on beside the base model."""

from __future__ import annotations

from typing import Any

from tasks.core.facts import Facts


class ModelFacts(Facts):
    """digest: sha256 of the folder of weights and tokenizer. context: tokens it can read, None if not known. commit: of
    the hub, which the recipe's revision meant when it was fetched; where a model lies is no part of what it is.
    """

    digest: str
    parameters: int
    context: int | None = None
    architecture: str = "?"
    commit: str = ""

    def written(self) -> dict[str, Any]:
        """Without the commit, which goes to told.json."""
        return self.model_dump(mode="json", exclude={"commit"})
