"""Texts that may be shown: what redact would take out of them is left out."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.core.personal_data import PersonalData, find


def hidden(texts: Iterable[str], settings: PersonalData) -> dict[str, str]:
    """Each text with its personal data as `[email]`, `[phone]`, for pages and files that people read."""
    return {text: _hidden(text, settings) for text in set(texts)}


def _hidden(text: str, settings: PersonalData) -> str:
    """Until nothing is found, as redact does: what a number beside it hid is found once that is gone."""
    while found := find(text, settings):
        for kind, span in reversed(found):
            text = f"{text[: span.start]}[{kind}]{text[span.end :]}"
    return text
