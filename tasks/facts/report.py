"""What report hands on beside the page: the outcome in words."""

from __future__ import annotations

from tasks.core.facts import Facts
from tasks.facts.scores import Measured
from tasks.facts.verdict import JudgedRule, Word


class HeadlineRow(Facts):
    """A metric on the holdout, and its title: the tuned model, and the best baseline where there is one."""

    metric: str
    title: str
    tuned: Measured
    base: Measured | None


class ReportFacts(Facts):
    """The outcome. sentence: how good the model is. registered: as what, or that it is not.

    missed: rules, the worst first. best: the best baseline, empty without one.
    confidence: of the intervals, in %. n: rows of the holdout.
    """

    verdict: Word
    sentence: str
    registered: str
    missed: list[JudgedRule]
    best: str
    confidence: str
    n: int
    rows: list[HeadlineRow]
