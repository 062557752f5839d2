"""What the gate hands on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.core.facts import Facts

Word = Literal["passed", "refused", "undecided"]


class JudgedRule(Facts):
    """A rule with what was measured. rule: as a sentence's subject.

    baseline: empty for a floor; else the one that counts.
    required, measured, low, high: shares, or with a baseline differences of shares; with is_number in the metric's own
    unit. why: for a person. remark: a part of it that a person must read though the rule holds.
    """

    rule: str
    metric: str
    slice: str
    baseline: str = ""
    is_number: bool = False
    required: float
    measured: float
    low: float
    high: float
    n: int
    verdict: Word
    why: str
    remark: str = ""


class Verdict(Facts):
    """The word of the gate, and of each of its rules in the recipe's order."""

    verdict: Word
    rules: list[JudgedRule] = Field(default_factory=list)
