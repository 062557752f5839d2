"""Record shapes in the wild, adapted to canonical rows: OpenAI, ShareGPT, Alpaca, prompt and completion, text and
label.

A shape is recognised by its keys, row by row, whatever their case, and says of which kind the row is. What is not part
of what is said goes to meta. Of the recipe's kind alone is a row taken, with one exception: in a classification
dataset, a conversation of one question and one answer is a text and its label.
    sft              a conversation; a message `weight` of 0 gives weights, a bad rating weights of 0 for the whole row
    preference       tasks/data/formats/preference_pairs.py
    classification   tasks/data/formats/ratings.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any, Literal

from pydantic import Field

from tasks.core.row import Message
from tasks.core.row_kind import CLASSIFICATION, PREFERENCE, SFT, RowKind
from tasks.core.settings import Settings
from tasks.data.formats import preference_pairs, ratings
from tasks.data.formats.messages import (
    UnadaptedError,
    answer,
    content,
    message,
    message_fields,
    spoken,
    turn_list,
    weights,
)
from tasks.data.formats.tool_calls import calls

Format = Literal["auto", "openai", "sharegpt", "alpaca", "prompt_completion", "text_label"]
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "response"),
    ("query", "response"),
    ("input", "output"),
    ("message", "reply"),
)


class Reading(Settings):
    """How a source's records are to be understood, where the recipe says more than their keys do."""

    # The shape of its records; auto recognises each record by its keys.
    format: Format = "auto"
    # Columns of the question and the answer (of a text and its label), where they are none of the usual ones: PAIRS
    # here, TEXTS and LABELS in tasks/data/formats/ratings.py.
    question: str = ""
    answer: str = ""
    # The column of the worse answer; with it, question and answer name the prompt and the better one.
    rejected: str = ""
    # The column that says how good an answer is; empty takes what is certain (ratings.RATINGS), and leaves numbers
    # alone.
    rating: str = ""
    # The least number that is a good rating, where the column holds numbers other than 0 and 1.
    good_from: float | None = Field(default=None, allow_inf_nan=False)

    @property
    def columns(self) -> list[str]:
        """The columns that were stated, as they are named in messages."""
        return [name for name in (self.question, self.answer, self.rejected) if name]


@dataclass
class Shaped:
    """A record in its shape. used: the lower-case keys it was made of. fields: what single messages say besides."""

    messages: list[Message]
    used: set[str]
    kind: RowKind = SFT
    rejected: str | None = None
    weights: list[float] | None = None
    calls: list[str | None] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


Build = Callable[[dict[str, Any]], Shaped | None]


@dataclass(frozen=True)
class Shape:
    """A shape: its builder, and the sets of lower-case keys of which a record must have one to be of it at all."""

    build: Build
    needs: tuple[frozenset[str], ...]

    def may_be(self, names: frozenset[str]) -> bool:
        """Whether a record of these keys can be of this shape."""
        return any(keys <= names for keys in self.needs)


Adapter = Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]


def adapter(reading: Reading, kind: RowKind) -> Adapter:
    """A function from a record to (row, meta); row: messages, rejected, weights and calls as in ROW_SCHEMA.

    It raises UnadaptedError when no shape fits, the one that fits is of another kind, or it holds what a row cannot.
    """
    shapes = _shapes(reading, kind)

    @lru_cache(maxsize=1024)  # of a million records most have the same keys, so only the first asks every shape
    def known(keys: tuple[str, ...]) -> tuple[tuple[str, ...], list[Build], bool]:
        names = tuple(key.strip().lower() for key in keys)
        rated = kind.is_conversation and bool(reading.rating or not ratings.RATINGS.isdisjoint(names))
        return names, [shape.build for shape in shapes if shape.may_be(frozenset(names))], rated

    def adapt(record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        names, builds, rated = known(tuple(record))
        row = dict(zip(names, record.values(), strict=True))
        shaped = next((found for build in builds if (found := build(row)) is not None), None)
        if shaped is None:
            raise _not_recognised(record, reading)
        if not shaped.messages:
            raise UnadaptedError("no messages in it")
        _check_kind(shaped, kind)
        if rated and ratings.good(row, reading.rating, reading.good_from) is False:
            shaped.weights = [0.0] * len(shaped.messages)
        meta = {key: record[key] for key, name in zip(record, names, strict=True) if name not in shaped.used}
        said = {
            "messages": shaped.messages,
            "rejected": shaped.rejected,
            "weights": shaped.weights,
            "calls": shaped.calls,
        }
        return said, {**meta, **shaped.fields}

    return adapt


def recognised(record: dict[str, Any]) -> bool:
    """Whether the record itself is a row, and not a wrapper around rows; of those many have a `message` and a
    `category`.
    """
    row = {key.strip().lower(): value for key, value in record.items()}
    shapes = [shape for shape in _shapes(Reading(), SFT) if shape is not SHAPES["text_label"]]
    try:
        return any(shape.build(row) is not None for shape in shapes if shape.may_be(frozenset(row)))
    except UnadaptedError:
        return True  # a row, but one that cannot be taken


def _not_recognised(record: dict[str, Any], reading: Reading) -> UnadaptedError:
    expected = reading.columns or (list(SHAPES) if reading.format == "auto" else [reading.format])
    return UnadaptedError("shape not recognised", keys=sorted(record), expected=expected)


def _shapes(reading: Reading, kind: RowKind) -> tuple[Shape, ...]:
    """The shapes to try, in order. What is more than a conversation comes first, and a label where
    labels are wanted.
    """
    if reading.columns:
        return (_stated(reading, kind),)
    if reading.format != "auto":
        return (*PREFERENCES.get(reading.format, ()), SHAPES[reading.format])
    first = [SHAPES["text_label"]] if kind.answer_is_label else []
    return (*first, *(shape for shapes in PREFERENCES.values() for shape in shapes), *SHAPES.values())


def _check_kind(shaped: Shaped, kind: RowKind) -> None:
    if shaped.kind == kind:
        return
    if not (kind.answer_is_label and shaped.kind.is_conversation):
        raise UnadaptedError(f"a row of kind {shaped.kind.name}, where the recipe says {kind.name}")
    roles = [said["role"] for said in shaped.messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]) or shaped.weights or shaped.calls:
        raise UnadaptedError("more or less than a text and its label", roles=roles[:10], turns=len(roles))


def _stated(reading: Reading, kind: RowKind) -> Shape:
    asked, answered, worse = (name.strip().lower() for name in (reading.question, reading.answer, reading.rejected))
    if worse:
        return _preference(preference_pairs.paired((asked,), answered, worse), {asked, answered, worse})
    build = _labelled if kind.answer_is_label else _pair
    return Shape(lambda row: build(row, asked, answered), (frozenset((asked, answered)),))


def _turns(*keys: str) -> Shape:
    def build(row: dict[str, Any]) -> Shaped | None:
        for key in keys:
            if key in row and (turns := turn_list(row[key])) is not None:
                return _with_system(row, _conversation(turns, {key}))
        return None

    return Shape(build, tuple(frozenset([key]) for key in keys))


def _conversation(turns: list[dict[str, Any]], used: set[str]) -> Shaped:
    messages = [message(turn, calls=True) for turn in turns]
    made = calls(turns, messages)
    return Shaped(messages, used, weights=weights(turns, messages), calls=made, fields=message_fields(turns))


def _alpaca(row: dict[str, Any]) -> Shaped:
    used = {"instruction", "input", "output"} | ({"history"} if preference_pairs.history(row) else set())
    return _with_system(row, Shaped([*preference_pairs.instruction(row), answer(row["output"])], used))


def _pairs(row: dict[str, Any]) -> Shaped:
    return _pair(row, *next(pair for pair in PAIRS if row.keys() >= set(pair)))


def _pair(row: dict[str, Any], asked: str, answered: str) -> Shaped:
    before, after = spoken(row[asked]), spoken(row[answered])
    if before and after:  # TRL's conversational prompt and completion
        return _conversation(before + after, {asked, answered})
    question = {"role": "user", "content": content(row[asked])}
    return _with_system(row, Shaped([question, answer(row[answered])], {asked, answered}))


def _with_system(row: dict[str, Any], shaped: Shaped) -> Shaped:
    """With the system prompt that a column of its own holds, unless the conversation begins with one."""
    system = row.get("system")
    if (
        not isinstance(system, str)
        or not system.strip()
        or not shaped.messages
        or shaped.messages[0]["role"] == "system"
    ):
        return shaped
    shaped.messages, shaped.used = [{"role": "system", "content": system}, *shaped.messages], shaped.used | {"system"}
    shaped.weights = [0.0, *shaped.weights] if shaped.weights else None
    shaped.calls = [None, *shaped.calls] if shaped.calls else None
    return shaped


def _preference(read: preference_pairs.Preference, keys: Iterable[str] = ("chosen", "rejected")) -> Shape:
    def build(row: dict[str, Any]) -> Shaped | None:
        pair = read(row)
        if pair is None:
            return None
        return _with_system(row, Shaped(pair.messages, pair.used, PREFERENCE, pair.rejected, fields=pair.fields))

    return Shape(build, (frozenset(keys),))


def _text_label(row: dict[str, Any]) -> Shaped | None:
    columns = ratings.columns(row)
    return _labelled(row, *columns) if columns else None


def _labelled(row: dict[str, Any], text: str, label: str) -> Shaped:
    said = {"role": "user", "content": content(row[text])}
    return Shaped([said, {"role": "assistant", "content": ratings.label(row[label])}], {text, label}, CLASSIFICATION)


PREFERENCES: dict[str, tuple[Shape, ...]] = {
    "openai": (
        _preference(preference_pairs.openai, ("preferred_output", "non_preferred_output")),
        _preference(preference_pairs.paired(("messages",))),
    ),
    "sharegpt": (_preference(preference_pairs.paired(("conversations", "conversation"))),),
    "alpaca": (_preference(preference_pairs.alpaca),),
    "prompt_completion": (
        _preference(preference_pairs.paired(("prompt", "question", "query", "input"))),
        _preference(preference_pairs.whole),
    ),
}
SHAPES: dict[str, Shape] = {
    "openai": _turns("messages"),
    "sharegpt": _turns("conversations", "conversation"),
    "alpaca": Shape(_alpaca, (frozenset(("instruction", "output")),)),
    "prompt_completion": Shape(_pairs, tuple(map(frozenset, PAIRS))),
    "text_label": Shape(_text_label, tuple(map(frozenset, product(ratings.TEXTS, (*ratings.LABELS, *ratings.NAMED))))),
}
