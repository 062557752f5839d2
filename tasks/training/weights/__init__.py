"""What of a model is trained: one file a form of weights, chosen by `train.weights.form`. What a form is: base.py."""

from __future__ import annotations

from tasks.core.members import Members
from tasks.training.weights.base import Weights

WEIGHTS = Members[Weights](__name__, key="form", default="lora")
