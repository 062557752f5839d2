"""Two columns, a text and its label, under the names that public data sets give them (ratings.py)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from tasks.core.row_kind import CLASSIFICATION
from tasks.data.formats import ratings
from tasks.data.formats.base import Format, Record, Shape, Shaped
from tasks.data.formats.messages import joined


def _read(record: Record) -> Shaped | None:
    columns = ratings.columns(record)
    return read_columns(record, columns[:1], columns[1]) if columns else None


def read_columns(record: Record, texts: Sequence[str], label: str) -> Shaped:
    """A text, or several one below the other, and its label from these columns."""
    answer = {"role": "assistant", "content": ratings.label(record[label])}
    return Shaped([joined(record, texts), answer], {*texts, label})


KEYS = tuple(map(frozenset, product(ratings.TEXTS, (*ratings.LABELS, *ratings.NAMED))))

FORMAT = Format("text_label", shapes=(Shape(KEYS, _read, CLASSIFICATION),))
