"""What fetch hands on beside the base model."""

from __future__ import annotations

from tasks.core.facts import Facts


class ModelFacts(Facts):
    """digest: sha256 of the folder of weights and tokenizer. context: tokens it can read, None if not known."""

    digest: str
    parameters: int
    context: int | None = None
    architecture: str = "?"
