"""Labels and ratings in the wild: which columns are a text and its label, and whether an answer is
called good or bad.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tasks.data.formats.messages import UnadaptedError

# The names under which public data sets hold them; `text` and `label` win, of the others there may be only one.
TEXTS = ("text", "sentence", "sms", "tweet", "review", "utterance", "content", "message", "body")
LABELS = ("label", "labels", "category", "class", "intent", "sentiment", "target", "topic")
NAMED = ("label_text", "label_name")  # beside a numeric label, its name (SetFit's data sets)
# Fields whose true and false, up and down, are about the answer: KTO's label (TRL), kto_tag (LLaMA-Factory), feedback
# widgets.
RATINGS = frozenset(("label", "kto_tag", "rating", "feedback", "vote", "thumbs", "thumbs_up", "liked"))
WORDS = {
    True: ("true", "up", "thumbs up", "👍", "good", "positive", "like", "liked", "upvote", "desirable"),
    False: ("false", "down", "thumbs down", "👎", "bad", "negative", "dislike", "disliked", "downvote", "undesirable"),
}
# Of these words those that are no class: of texts, `label` may say positive or good.
NO_CLASS = ("true", "false", "desirable", "undesirable", "thumbs up", "thumbs down", "👍", "👎")
MEANING = {word: good for good, words in WORDS.items() for word in words}


def columns(row: dict[str, Any]) -> tuple[str, str] | None:
    """The lower-case names of the text's and the label's column; None where a row has not both.

    Raises UnadaptedError where several columns could be one of them.
    """
    named = [name for name in NAMED if isinstance(row.get(name), str)][:1]
    texts, labels = _found(row, TEXTS), named or _found(row, LABELS)
    for found in (texts, labels):
        if len(found) > 1 and texts and labels:
            raise UnadaptedError("several columns could be the text or the label", columns=found)
    return (texts[0], labels[0]) if texts and labels else None


def _found(row: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    found = [name for name in names if name in row]
    return found[:1] if names[0] in found else found


def label(value: Any) -> str:
    """A label as text: numbers as they are written, 3.0 (a whole number from a column with gaps) as 3, true as true."""
    if isinstance(value, list | tuple):  # as tools for labelling have it, which allow for several
        return _only_label(value)
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise UnadaptedError("no label")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise UnadaptedError("label is not one value", type=type(value).__name__)


def _only_label(values: Sequence[Any]) -> str:
    if len(values) > 1:
        raise UnadaptedError("several labels", count=len(values))
    return label(values[0] if values else None)


def good(row: dict[str, Any], column: str = "", good_from: float | None = None) -> bool | None:
    """Whether the answer is rated good; None where nothing certain is said.

    column: the rating's, where the recipe states it; then numbers count as well, from good_from up, or 0 and 1.
    Raises UnadaptedError for a stated column whose value is no rating, and for ratings that disagree.
    """
    if column:
        value = row.get(column.strip().lower())
        verdict = _verdict(value) if good_from is None else _reaches(value, good_from)
        if verdict is None and value is not None and value != "":
            raise UnadaptedError("rating not understood", column=column, type=type(value).__name__)
        return verdict
    found = {name: verdict for name in row.keys() & RATINGS if (verdict := _certain(name, row[name])) is not None}
    if len(set(found.values())) > 1:
        raise UnadaptedError("ratings that disagree", columns=sorted(found))
    return next(iter(found.values()), None)


def _certain(name: str, value: Any) -> bool | None:
    """A field named `label` may hold any class, so there only what is none is a rating."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    word = value.strip().lower().replace("_", " ").replace("-", " ")
    return MEANING.get(word) if name != "label" or word in NO_CLASS else None


def _verdict(value: Any) -> bool | None:
    if value in (0, 1, "0", "1"):
        return int(value) == 1
    return _certain("rating", value)


def _reaches(value: Any, good_from: float) -> bool | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number >= good_from
