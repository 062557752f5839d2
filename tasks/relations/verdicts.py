"""What an answer decides, whatever its wording: two answers that decide the same say the same.

JSON       its values, but for sentences among them; of an object that holds nothing else, the whole of it
free text  the text, but for case, white space and the mark at its end
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from tasks.metrics.answer_schema import parse
from tasks.relations.prompts import normalised
from tasks.similarity.words import english_words, words

SENTENCE, TEXT = 4, 9  # words from which a value that ends like a sentence is prose, and any value; names are shorter


def verdicts(answers: pl.Series) -> pl.Series:
    """A text for each answer, equal where two decide the same."""
    plain = answers.to_frame("text").select(normalised(pl.col("text")).str.strip_chars_end(".!。！ ")).to_series()
    objects = answers.str.strip_chars().str.starts_with("{").fill_null(False).arg_true()
    if not len(objects):
        return plain
    decided = [decided_by(text) for text in answers.gather(objects)]
    every = plain.to_list()
    for place, value in zip(objects, decided, strict=True):
        every[place] = every[place] if value is None else value
    return pl.Series(plain.name, every, pl.String)


def decided_by(text: str) -> str | None:
    """The values of a JSON object that are no sentences, as JSON; None where there are none, or it is no object."""
    value = parse(text)
    leaves = {} if value is None else dict(_leaves(value, ""))
    return json.dumps(leaves, ensure_ascii=False, sort_keys=True).lower() if leaves else None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}.{place}")
    elif not (isinstance(value, str) and _is_prose(value)):
        yield path, value


def _is_prose(text: str) -> bool:
    number = english_words(words(text))
    return number >= TEXT or (number >= SENTENCE and text.rstrip().endswith((".", "!", "?", "。", "！", "？")))
