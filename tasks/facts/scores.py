"""What evaluate hands on: every metric of every variant on every slice, with intervals, and the paired differences."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from tasks.core.facts import Facts
from tasks.core.text.display import number_of
from tasks.core.text.interval_text import number_with_interval, percent_with_interval
from tasks.core.variants import CHAMPION, CLASSICAL, TUNED


class Measured(Facts):
    """A metric of a variant on a slice, and its interval: of yes/no, `right` of `n` rows and the share `value`; of
    numbers, their mean, and `right` is None.
    """

    variant: str
    slice: str
    metric: str
    right: int | None = None
    value: float
    low: float
    high: float
    n: int

    @property
    def is_number(self) -> bool:
        return self.right is None

    def text(self, digits: int = 0) -> str:
        """`94 % [89, 98]`, or of a number `1.03 [0.98, 1.08]`. digits: after the point of a share."""
        if self.is_number:
            return number_with_interval(self.value, self.low, self.high)
        return percent_with_interval(self.value, self.low, self.high, digits=digits)


class Difference(Facts):
    """The tuned model against a baseline, or against the champion, on the same n rows.

    wins: rows that only the tuned model has right. losses: rows that only the baseline has right. None of a number,
    whose difference is the mean of those of each row.
    """

    baseline: str
    slice: str
    metric: str
    wins: int | None = None
    losses: int | None = None
    low: float
    high: float
    n: int
    difference: float

    @property
    def is_number(self) -> bool:
        return self.wins is None

    def text(self, digits: int = 0) -> str:
        """`+53 points [+44, +61]`, or of a number `+0.21 [+0.15, +0.27]`."""
        if self.is_number:
            return number_with_interval(self.difference, self.low, self.high, sign="+")
        return percent_with_interval(self.difference, self.low, self.high, digits=digits, sign="+")


class MetricWords(Facts):
    """What must be known of a metric to read its scores (tasks/metrics/base.py says what each means)."""

    title: str
    fault: str = ""
    is_number: bool = False
    lower_is_better: bool = False
    sums_up: bool = False


class ComparedChampion(Facts):
    """The registered version that the tuned model is compared with. unasked: why it could not be asked; empty when it
    was, as the variant `champion`.
    """

    name: str
    version: int
    unasked: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} version {self.version}"


class Scores(Facts):
    """variants: in the order that they are shown. best_baseline: the prompted one that is best by the headline; empty
    without one.

    headline: the metric that speaks for all. label_metric: the one that says whether the class of a row is right; empty
    where rows have none. champion: None where there was none to compare with.
    metrics: of a slice those alone that any of its rows has. confidence: of each interval.
    words: of each metric by name; scores of before they were noted have none. cut: by variant, the share of its answers
    that reached the most tokens allowed and may say nothing of the model. questions: by slice, how many different ones
    its rows ask, where some repeat; the intervals there are of questions and not of rows.
    """

    variants: list[str]
    best_baseline: str
    headline: str
    confidence: float
    metrics: list[Measured]
    differences: list[Difference]
    words: dict[str, MetricWords] = Field(default_factory=dict)
    cut: dict[str, float] = Field(default_factory=dict)
    label_metric: str = ""
    champion: ComparedChampion | None = None
    questions: dict[str, int] = Field(default_factory=dict)

    @property
    def prompted(self) -> list[str]:
        """The variants that are the base model, prompted."""
        return [name for name in self.variants if name not in (TUNED, CHAMPION, *CLASSICAL)]

    @property
    def classical(self) -> list[str]:
        """The variants that need no language model."""
        return [name for name in self.variants if name in CLASSICAL]

    def best(self, slice: str, metric: str, among: Collection[str]) -> Measured | None:
        """The best of these variants there, the first of equals; None where none of them was measured."""
        sign = -1 if self.words_of(metric).lower_is_better else 1
        found = [m for m in self.metrics if (m.slice, m.metric) == (slice, metric) and m.variant in among]
        return max(found, key=lambda m: sign * m.value, default=None)

    def against(self, baseline: str, slice: str, metric: str) -> Difference | None:
        """The tuned model's difference to a baseline there; None where it was not measured."""
        key = (baseline, slice, metric)
        return next((d for d in self.differences if (d.baseline, d.slice, d.metric) == key), None)

    def words_of(self, metric: str) -> MetricWords:
        return self.words.get(metric) or MetricWords(title=metric, fault=f"wrong {metric}")

    def repeats(self, slice: str) -> str:
        """` (13 different questions)`, to be said behind a number of rows, where they repeat; else empty."""
        asked = self.questions.get(slice)
        return f" ({number_of(asked, 'different question')})" if asked else ""

    def find(self, variant: str, slice: str, metric: str) -> Measured | None:
        """What was measured there; None where nothing was."""
        key = (variant, slice, metric)
        return next((m for m in self.metrics if (m.variant, m.slice, m.metric) == key), None)

    def cell(self, variant: str, slice: str, metric: str) -> Measured:
        """What was measured there. Raises KeyError where nothing was."""
        if cell := self.find(variant, slice, metric):
            return cell
        raise KeyError(f"{metric} of {variant} on {slice} was not measured")
