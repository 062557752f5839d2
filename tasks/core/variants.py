"""What is evaluated: the base model prompted with nothing or with examples, and the tuned model."""

from __future__ import annotations

from typing import Literal

Variant = Literal["zero_shot", "few_shot", "tuned"]
TUNED: Variant = "tuned"
