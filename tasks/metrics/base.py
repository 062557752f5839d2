"""What a metric is: one question of an answer, said yes or no to, or answered by a number.

A metric is a file that ends in `def metrics(answer)`: those that answers of this form have, often one, none where the
form has nothing to ask. One line in the catalog, and it is counted with intervals, judged by the gate, shown in the
report and logged to MLflow; nothing else knows it by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tasks.facts.scores import MetricWords
from tasks.metrics.reference import ModelAnswer, Reference

Score = bool | float | None  # None: the metric is not one of this row's


@dataclass(frozen=True)
class Metric:
    """name: in recipes, columns and registries. title: names the good case, as a table shows it: `valid JSON`.
    fault: names the bad one: `not valid JSON`; empty for a number.

    applies: whether a row has it, by its reference alone, so that every variant is counted on the same rows: wants_text
    and wants_calls below are the usual ones.
    score: of a row that has it: whether the answer is right, or with `is_number` a finite number, on any scale.
    is_number: counted as a mean instead of a share; `watch` compares shares only. lower_is_better: as a loss is.
    sums_up: says of the whole answer what other metrics say of its parts; a wrong answer is described by those where
    there are any. headline: rank for the one metric shown as a variant's result; the highest wins, of equals the first.
    """

    name: str
    title: str
    applies: Callable[[Reference], bool]
    score: Callable[[Reference, ModelAnswer], bool | float]
    fault: str = ""
    is_number: bool = False
    lower_is_better: bool = False
    sums_up: bool = False
    headline: int = 0

    @property
    def least_rows(self) -> int:
        """Rows without which there is no interval: how numbers spread is not seen in one."""
        return 2 if self.is_number else 1

    @property
    def words(self) -> MetricWords:
        """What those must know of it who read scores."""
        return MetricWords(
            title=self.title,
            fault=self.fault,
            is_number=self.is_number,
            lower_is_better=self.lower_is_better,
            sums_up=self.sums_up,
        )

    def of(self, reference: Reference, given: ModelAnswer | None) -> Score:
        """The score of an answer; None where the row has none. given: None for one that was refused, which is not
        right, and of which there is no number.

        Raises ValueError when the score is not finite: its mean would be none.
        """
        if not self.applies(reference):
            return None
        if given is None:
            return None if self.is_number else False
        score = self.score(reference, given)
        if not self.is_number:
            return bool(score)
        if not math.isfinite(score):
            raise ValueError(f"metric {self.name} scored an answer {score}, which has no mean")
        return float(score)


def wants_text(reference: Reference) -> bool:
    """Whether a row's own answer is one in text."""
    return reference.answer is not None and reference.answer.calls is None


def wants_calls(reference: Reference) -> bool:
    """Whether a row's own answer is one of tool calls."""
    return reference.answer is not None and reference.answer.calls is not None
