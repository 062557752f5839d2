"""What review hands on beside the sheets."""

from __future__ import annotations

from tasks.core.facts import Facts


class ReviewReason(Facts):
    """Rows that a step held back for one reason, and minutes to review them."""

    step: str
    reason: str
    rows: int
    minutes: float


class ReviewFacts(Facts):
    """Rows, cases, minutes and reasons: what is left to review. shown: rows in the sheet.

    order: how it is sorted, in words. decided: rows by what a reviewer did with them.
    words_per_minute, seconds_to_decide: what minutes rest on.
    """

    rows: int
    cases: int
    order: str
    decided: dict[str, int]
    minutes: float
    reasons: list[ReviewReason]
    words_per_minute: int
    seconds_to_decide: float
    shown: int
