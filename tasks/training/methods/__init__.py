"""How a model learns: one file a method, chosen by `train.method`. What a method is: base.py."""

from __future__ import annotations

from tasks.core.members import Members
from tasks.training.methods.base import Method

METHODS = Members[Method](__name__, key="method", default="sft")
