"""What a gate rule is: a key of the recipe's rules, its value, and how the measured intervals are judged by it.

A rule is a file that ends in `RULE = ...`, an object of this protocol, and one line in the catalog; at_least.py is a
short one. It judges what was evaluated: the tuned model, the baselines and the champion (tasks/core/variants.py). It
reads whole intervals, never the point in their middle (not_worse_than_champion.py alone, which says why, reads both):

    passed      even the low end meets the requirement
    refused     even the high end misses it
    undecided   the requirement lies inside the interval, so these rows cannot tell
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from tasks.core.settings import Settings
from tasks.facts.scores import MetricWords, Scores
from tasks.facts.verdict import JudgedRule, Word

WORST_FIRST: tuple[Word, ...] = ("refused", "undecided", "passed")


class Subject(Settings):
    """What a rule is about, whatever it asks of it."""

    # What is measured: a graded field, or another metric that answers of this form have (tasks/metrics/catalog.py).
    metric: str
    # Where: holdout, edge_cases, or a slice by name. The holdout is what stands for tomorrow's rows.
    slice: str = "holdout"


class GateRule(Protocol):
    """key: of the rule in a recipe, the same as its file's name. example: as a recipe may have it, for errors.

    field: (type, pydantic's Field(default=...)); a value equal to the default counts as absent.
    """

    key: str
    example: str
    field: tuple[Any, Any]

    def misfit(self, value: Any, metric: MetricWords) -> str:
        """Why `value` cannot be asked of this metric; empty when it can."""
        ...

    def text(self, value: Any, metric: MetricWords) -> str:
        """What is asked, after the name of what is measured: `at least 90 %`."""
        ...

    def judge(self, subject: Subject, value: Any, scores: Scores, text: str) -> JudgedRule:
        """The verdict on the tuned model. text: the whole rule in words. Raises RecipeError where nothing can tell."""
        ...


def advice(needed: int | None, n: int, above: bool) -> str:
    """How many more rows would decide. needed: rows in all, an estimate for large samples; None: no number would."""
    if needed is None:
        return "What was measured is the requirement itself, so more rows alone would not decide it"
    more, side = max(needed - n, 1), "for" if above else "against"
    step = 10 ** max(len(str(more)) - 1, 1)  # one leading digit, upwards: an estimate should look like one
    about = math.ceil(more / step) * step
    return f"About {about:,} more rows like these would decide it {side} the model, if what was measured held"
