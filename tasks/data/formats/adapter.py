"""Recognise what format a record has, and adapt it to a canonical row.

A shape is recognised by its keys, record by record, whatever their case, and says of which kind the row is. What is not
part of the conversation goes to meta. Of the recipe's kind alone is a row taken, with one exception: in a
classification dataset, a conversation of one question and one answer is a text and its label.
    sft              a conversation; a message `weight` of 0 gives weights, a bad rating weights of 0 for the whole row
    preference       tasks/data/formats/preference_pairs.py
    classification   tasks/data/formats/ratings.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from tasks.core.members import one_of
from tasks.core.row_kind import CLASSIFICATION, SFT, RowKind
from tasks.core.settings import Settings
from tasks.data.formats import one_text, prompt_completion, ratings, text_label
from tasks.data.formats.base import Shape, Shaped
from tasks.data.formats.beside import with_beside
from tasks.data.formats.catalog import FORMATS, readable
from tasks.data.formats.messages import UnadaptedError
from tasks.data.formats.preference_pairs import paired
from tasks.data.formats.tool_calls import offered

AUTO = "auto"
FormatName = Annotated[str, one_of(lambda: [AUTO, *readable()])]


class Reading(Settings):
    """How a source's records are to be understood, where the recipe says more than their keys do."""

    # The shape of its records; auto recognises each record by its keys.
    format: FormatName = "auto"
    # Columns of the question and the answer (of a text and its label), where they are none of the usual ones: COLUMNS
    # in tasks/data/formats/prompt_completion.py, TEXTS and LABELS in tasks/data/formats/ratings.py. Of several question
    # columns ([passage, question]) the texts stand one below the other, in that order.
    question: str | tuple[str, ...] = ""
    answer: str = ""
    # The column of the worse answer; with it, question and answer name the prompt and the better one.
    rejected: str = ""
    # What stands just before the answer in a record that is one text, as "\nA:"; the column is `text`.
    text: str = ""
    # The column that says how good an answer is; empty takes what is certain (ratings.RATINGS), and leaves numbers
    # alone.
    rating: str = ""
    # The least number that is a good rating, where the column holds numbers other than 0 and 1.
    good_from: float | None = Field(default=None, allow_inf_nan=False)
    # Columns that are none of the question's or the answer's, whatever their names say (`context`: where a ticket came
    # from).
    metadata: tuple[str, ...] = ()

    @property
    def questions(self) -> tuple[str, ...]:
        """The columns of the question, in lower case; empty where none is stated."""
        names = (self.question,) if isinstance(self.question, str) else self.question
        return tuple(name.strip().lower() for name in names if name)

    @property
    def columns(self) -> list[str]:
        """The columns that were stated, as they are named in messages."""
        return [name for name in (*self.questions, self.answer, self.rejected) if name]


TOOLS = ("tools", "functions")  # columns with the tools that were on offer; the second is OpenAI's first form
NAMES, NAME = 20, 40  # columns that a message names, and letters of each
STATE_COLUMNS = (
    "say at this source which columns they are, as question: and answer:; or where in data.text an answer begins"
)
Adapter = Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]


def adapter(reading: Reading, kind: RowKind) -> Adapter:
    """A function from a record to (row, meta); row: messages, rejected, weights and calls as in ROW_SCHEMA.

    It raises UnadaptedError when no shape fits, the one that fits is of another kind, or it holds what a row cannot.
    """
    shapes = _shapes(reading, kind)
    metadata = frozenset(name.strip().lower() for name in reading.metadata).union(TOOLS)

    @lru_cache(maxsize=1024)  # of a million records most have the same keys, so only the first asks every shape
    def read_keys(keys: tuple[str, ...]) -> tuple[tuple[str, ...], list[Shape], bool]:
        names = tuple(key.strip().lower() for key in keys)
        rated = kind.is_conversation and bool(reading.rating or not ratings.RATINGS.isdisjoint(names))
        return names, [shape for shape in shapes if shape.may_be(frozenset(names))], rated

    def adapt(record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        names, possible, rated = read_keys(tuple(record))
        row = in_lower_case(record, names)
        for shape in possible:
            if (shaped := shape.read(row)) is not None:
                break
        else:
            raise _not_recognised(record, reading)
        if not shaped.messages:
            raise UnadaptedError("no messages in it")
        tools = next((tools for name in TOOLS if (tools := offered(row.get(name))) is not None), None)
        shaped = with_beside(row, shaped, metadata)
        _check_kind(shaped, shape.kind, kind)
        if rated and ratings.good(row, reading.rating, reading.good_from) is False:
            shaped.weights = [0.0] * len(shaped.messages)
        meta = {key: record[key] for key, name in zip(record, names, strict=True) if name not in shaped.used}
        said = {
            "messages": shaped.messages,
            "rejected": shaped.rejected,
            "weights": shaped.weights,
            "calls": shaped.calls,
        }
        return said, {**meta, **shaped.fields, **({"tools": tools} if tools else {})}

    return adapt


def in_lower_case(record: dict[str, Any], names: Sequence[str] = ()) -> dict[str, Any]:
    """The record by the names of its keys in lower case. names: these, where they are known.

    Raises UnadaptedError where a name comes twice (Prompt and prompt) and they say two things: neither is surely the
    one that is meant.
    """
    names = names or [key.strip().lower() for key in record]
    row = dict(zip(names, record.values(), strict=True))
    if len(row) == len(names):
        return row
    row = {}
    for name, (key, value) in zip(names, record.items(), strict=True):
        if row.get(name) in (None, "", value):
            row[name] = value
        elif value not in (None, ""):
            raise UnadaptedError("a key comes twice", key=key)
    return row


def recognised(record: dict[str, Any]) -> bool:
    """Whether the record itself is a row, and not a wrapper around rows; of those many have a `message` and a
    `category`.
    """
    row = {key.strip().lower(): value for key, value in record.items()}
    names = frozenset(row)
    try:
        return any(
            shape.read(row) is not None
            for shape in _shapes(Reading(), SFT)
            if not shape.kind.answer_is_label and shape.may_be(names)
        )
    except UnadaptedError:
        return True  # a row, but one that cannot be taken


def _not_recognised(record: dict[str, Any], reading: Reading) -> UnadaptedError:
    expected = reading.columns or (readable() if reading.format == AUTO else [reading.format])
    columns = [key[:NAME] for key in sorted(record)][:NAMES]
    return UnadaptedError("shape not recognised", columns_found=columns, expected=expected, todo=STATE_COLUMNS)


def _shapes(reading: Reading, kind: RowKind) -> list[Shape]:
    """The shapes to try, in order: a label where labels are wanted, then what is more than a conversation."""
    if reading.text:
        return [one_text.stated(reading.text)]
    if reading.columns:
        return [_stated(reading, kind)]
    chosen = [format for format in FORMATS if reading.format in (AUTO, format.name)]
    shapes = [shape for format in chosen for shape in format.shapes]
    wanted = kind if kind.answer_is_label else None
    return sorted(shapes, key=lambda shape: (shape.kind != wanted, not shape.kind.has_rejected))


def _check_kind(shaped: Shaped, found: RowKind, kind: RowKind) -> None:
    if found == kind:
        return
    if not (kind.answer_is_label and found.is_conversation):
        raise UnadaptedError(f"a row of kind {found.name}, where the recipe says {kind.name}")
    roles = [said["role"] for said in shaped.messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]) or shaped.weights or shaped.calls:
        raise UnadaptedError("more or less than a text and its label", roles=roles[:10], turns=len(roles))


def _stated(reading: Reading, kind: RowKind) -> Shape:
    questions, answer, worse = reading.questions, *(name.strip().lower() for name in (reading.answer, reading.rejected))
    if worse:
        return paired(questions[:1], answer, worse)
    keys = (frozenset((*questions, answer)),)
    if kind.answer_is_label:
        return Shape(keys, lambda row: text_label.read_columns(row, questions, answer), CLASSIFICATION)
    return Shape(keys, lambda row: prompt_completion.read_columns(row, questions, answer))
