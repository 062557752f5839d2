"""What report hands on beside the page: the outcome in words."""

from __future__ import annotations

from tasks.core.facts import Facts
from tasks.facts.scores import Measured
from tasks.facts.verdict import JudgedRule, Word


class HeadlineRow(Facts):
    """A metric on the holdout, and its title: the tuned model, and beside it the prompted baseline that is best by this
    very metric, the best of what needs no language model, and the champion, where there are any.
    """

    metric: str
    title: str
    tuned: Measured
    base: Measured | None
    classical: Measured | None = None
    champion: Measured | None = None


class ReportFacts(Facts):
    """The outcome. sentence: how good the model is. registered: as what, or that it is not.

    missed: rules, the worst first. best: the best prompted baseline by the headline's metric, empty without one.
    champion: how the champion does, empty without one. remark: what must be said first: that no language model may be
    needed. confidence: of the intervals, in %. n: rows of the holdout.
    """

    verdict: Word
    sentence: str
    registered: str
    missed: list[JudgedRule]
    best: str
    confidence: str
    n: int
    rows: list[HeadlineRow]
    champion: str = ""
    remark: str = ""
