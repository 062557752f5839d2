"""Texts that may be shown: what redact would take out of them is left out."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from tasks.core.personal_data import FINDERS, KINDS, PersonalData, apart, suspect


def hidden(texts: Iterable[str], settings: PersonalData) -> dict[str, str]:
    """Each text with its personal data as `[email]`, `[phone]`, for pages and files that people read."""
    different = pl.DataFrame({"text": sorted(set(texts))}, schema={"text": pl.String})
    marked = different.select("text", maybe=suspect(pl.col("text")))
    return {text: _hidden(text, settings) if maybe else text for text, maybe in marked.iter_rows()}


def _hidden(text: str, settings: PersonalData) -> str:
    """Kind by kind, each until none is found, as redact does."""
    for kind in KINDS:
        while kind in settings.kinds and (spans := apart(FINDERS[kind](text, settings))):
            for start, end, _ in reversed(spans):
                text = f"{text[:start]}[{kind}]{text[end:]}"
    return text
