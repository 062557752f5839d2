"""All formats, in the order in which their shapes are tried and their names are told.

A format is one file that ends in `FORMAT = Format(...)`, and one line here. The list is a module of its own, and not
the package's __init__, since a served model takes parts of the package and should not carry every format.
"""

from __future__ import annotations

from tasks.data.formats import (
    alpaca,
    huggingface,
    message_rows,
    one_text,
    openai,
    prompt_completion,
    sharegpt,
    text_label,
    trl,
)
from tasks.data.formats.base import Format

FORMATS: list[Format] = [
    openai.FORMAT,
    trl.FORMAT,
    sharegpt.FORMAT,
    alpaca.FORMAT,
    prompt_completion.FORMAT,
    text_label.FORMAT,
    one_text.FORMAT,
    message_rows.FORMAT,
    huggingface.FORMAT,
]


def readable() -> list[str]:
    """The names of the formats that are read."""
    return [format.name for format in FORMATS if format.shapes]


def writable() -> list[str]:
    """The names of the formats that are written."""
    return [format.name for format in FORMATS if format.writer]
