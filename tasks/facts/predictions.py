"""What predict hands on beside the answers."""

from __future__ import annotations

from tasks.core.facts import Facts

PREDICTIONS = "predictions.parquet"  # the answers, beside the facts


class PredictionFacts(Facts):
    """variant: who answered. cut: answers that reached the most tokens allowed. system: the system prompt."""

    variant: str
    cut: int = 0
    system: str = ""
