"""Two columns, a text and its label, under the names that public data sets give them (ratings.py)."""

from __future__ import annotations

from itertools import product

from tasks.core.row_kind import CLASSIFICATION
from tasks.data.formats import ratings
from tasks.data.formats.base import Format, Record, Shape, Shaped
from tasks.data.formats.messages import content_text


def _read(record: Record) -> Shaped | None:
    columns = ratings.columns(record)
    return read_columns(record, *columns) if columns else None


def read_columns(record: Record, text: str, label: str) -> Shaped:
    """A text and its label from these two columns."""
    asked = {"role": "user", "content": content_text(record[text])}
    return Shaped([asked, {"role": "assistant", "content": ratings.label(record[label])}], {text, label})


KEYS = tuple(map(frozenset, product(ratings.TEXTS, (*ratings.LABELS, *ratings.NAMED))))

FORMAT = Format("text_label", shapes=(Shape(KEYS, _read, CLASSIFICATION),))
