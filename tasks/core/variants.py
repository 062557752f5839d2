"""What is evaluated: what needs no language model, the base model prompted, the champion of today, the tuned model."""

from __future__ import annotations

from typing import Literal

Variant = Literal["majority_class", "logistic_regression", "zero_shot", "few_shot", "champion", "tuned"]
TUNED: Variant = "tuned"
CHAMPION: Variant = "champion"
MAJORITY: Variant = "majority_class"
LOGISTIC: Variant = "logistic_regression"
# Of rows with labels: always the commonest one, and a classifier of words.
CLASSICAL: tuple[Variant, ...] = (MAJORITY, LOGISTIC)
