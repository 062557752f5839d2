"""Hide personal data in texts that are shown: what redact would take out of them is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tasks.core.text.display import DIGEST
from tasks.personal_data.finders import PersonalData, find_personal_data


def mask_personal_data(texts: Iterable[str], settings: PersonalData) -> dict[str, str]:
    """Each text with its personal data as `[email]`, `[phone]`, for pages and files that people read."""
    return {text: _hidden(text, settings) for text in set(texts)}


def _hidden(text: str, settings: PersonalData) -> str:
    """Until nothing is found, as redact does: what a number beside it hid is found once that is gone."""
    while found := find_personal_data(text, settings):
        for kind, span in reversed(found):
            text = f"{text[: span.start]}[{kind}]{text[span.end :]}"
    return text


def mask_in_json(value: Any, settings: PersonalData) -> Any:
    """A JSON value with every text in it hidden so, keys included, for an observed label may be
    anything; row ids stay.
    """
    safe = mask_personal_data(_texts(value), settings)

    def shown(part: Any) -> Any:
        if isinstance(part, dict):
            return {shown(key): shown(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [shown(inner) for inner in part]
        return safe.get(part, part) if isinstance(part, str) else part

    return shown(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str) and not DIGEST.fullmatch(value):
        yield value
