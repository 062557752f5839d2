"""What the steps of watch hand on: the snapshot's files, new rows, how they differ, how the champion scores."""

from __future__ import annotations

from tasks.core.facts import Facts
from tasks.core.text.interval_text import percent_with_interval


class SnapshotFacts(Facts):
    """files: the names of what there is of the champion's training snapshot."""

    files: list[str]


class NewsFacts(Facts):
    """Rows: new ones, those of the snapshot that are no longer there, new records that cannot be read."""

    new: int
    gone: int
    unread: int


class JoinedFacts(Facts):
    """kept: rows of the snapshot among them."""

    kept: int


class GainedFacts(Facts):
    """more: rows that training would have more than before."""

    more: int


class Comparison(Facts):
    """One line of the table. rule: the setting that asks for it; empty: only told. told: it in a sentence."""

    what: str
    snapshot: str
    new: str
    told: str
    rule: str = ""
    test: str = ""
    statistic: float = 0.0
    p: float = 1.0
    effect: float = 0.0
    limit: float = 0.0
    found: bool = False


class CompareFacts(Facts):
    """rows: new ones, as they came. broken: the expectations of severity block that do not hold, in words."""

    rows: int
    comparisons: list[Comparison]
    broken: str = ""


class Share(Facts):
    """A share of rows with its interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def text(self) -> str:
        return f"{percent_with_interval(self.value, self.low, self.high, digits=1)} of {self.n:,}"


class RescoreFacts(Facts):
    """The champion on new rows: now, and as it was registered (None if the registry does not say).

    told: it in a sentence. below: whether the whole interval is under `limit`, the registered figure less the recipe's
    margin.
    """

    metric: str
    now: Share
    registered: Share | None
    limit: float
    below: bool
    told: str
