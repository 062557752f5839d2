"""What stands beside a conversation in its record: of the question, of the answer, a mark not to learn it, or metadata.

A column whose name says that the question needs it (`context`, `choices`) is put below the question, as Alpaca's
`input` is, where there is one question and the column is text; else the record is quarantined with the column's name.
So is one with a picture, a sound, or an answer's reasoning, which no message holds. Names are all there is to go by:
`metadata` in a recipe's data says which columns are nothing but that, and `question` takes several.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tasks.core.row import parsed
from tasks.data.formats.base import Record, Shaped
from tasks.data.formats.messages import (
    MEDIA_BESIDE,
    REASONING_BESIDE,
    UnadaptedError,
    conversation_turns,
    is_empty,
    to_message,
)
from tasks.data.formats.names import (
    CHOICES,
    DISCARDED,
    DOUBTFUL,
    LEFT_OUT,
    MATERIAL,
    MEDIA,
    PRODIGY,
    REASONING,
    REFUSED,
    TAKEN,
)

NAMES = MEDIA.union(REASONING, MATERIAL, DOUBTFUL, LEFT_OUT, TAKEN, PRODIGY, ("history", "answer", "status"))
# Where a picture or sound was, as LLaVA's and LLaMA-Factory's files have it: a line of its own, or glued to the text.
_PLACEHOLDER = re.compile(r"(?:\A|(?<=\n))<(image|video|audio)>(?=\n|\w|\Z)|(?<=\S)<(image|video|audio)>\Z")
SENTENCE = 4  # words: fewer are a name, a code or a state
_LETTER = re.compile(r"[A-Z]")
_LETTERED = re.compile(r"\(?[A-Z][.):]")


def with_beside(record: Record, shaped: Shaped, metadata: Collection[str]) -> Shaped:
    """`shaped` with what stands beside it. record: lower-case keys. metadata: those that are nothing else.

    Raises UnadaptedError for what belongs to the row and cannot be put into it.
    """
    _refuse_placeholders(shaped)
    named = [key for key in record if key in NAMES and key not in shaped.used and key not in metadata]
    rest = {key: record[key] for key in named if not is_empty(record[key])}
    if not rest:
        return shaped
    if mark := not_to_learn(rest):
        raise UnadaptedError("marked as not to be learnt", column=mark)
    for key in sorted(rest.keys() & MEDIA):
        raise UnadaptedError(MEDIA_BESIDE, column=key)
    for key in sorted(rest.keys() & REASONING):
        if not _said(rest[key], shaped, ("assistant",)):
            raise UnadaptedError(REASONING_BESIDE, column=key)
    _with_history(rest, shaped)
    _with_material({key: value for key, value in rest.items() if key in MATERIAL}, shaped)
    for key in sorted(rest.keys() & set(DOUBTFUL)):
        if _is_material(rest[key]) and not _said(rest[key], shaped):
            raise UnadaptedError("a column that the question may need", column=key)
    return shaped


def _refuse_placeholders(shaped: Shaped) -> None:
    """A placeholder with a closing tag is markup that is talked about."""
    for said in shaped.messages:
        if said["role"] == "user" and "<" in said["content"] and (found := _PLACEHOLDER.search(said["content"])):
            name = found[1] or found[2]
            if f"</{name}>" not in said["content"]:
                raise UnadaptedError(MEDIA_BESIDE, placeholder=f"<{name}>")


def _is_material(value: Any) -> bool:
    """Whether a value is what one could ask about, and no number or short code."""
    return isinstance(value, list | dict) or (isinstance(value, str) and len(value.split()) >= SENTENCE)


def _said(value: Any, shaped: Shaped, roles: Collection[str] = ("system", "user")) -> bool:
    """Whether messages of these roles have it already, word for word."""
    texts, said = _texts(value), [one["content"] for one in shaped.messages if one["role"] in roles]
    return texts is not None and all(any(text in content for content in said) for text in texts)


def _are_listed(choices: list[str], shaped: Shaped) -> bool:
    """Whether each of the choices ends a line of what is asked: a short one stands in any text by chance."""
    lines = [
        line.rstrip() for said in shaped.messages if said["role"] == "user" for line in said["content"].split("\n")
    ]
    return all(any(line.endswith(choice.strip()) for line in lines) for choice in choices)


def _with_history(rest: Record, shaped: Shaped) -> None:
    """Earlier exchanges ([question, answer] pairs, or turns) put before the question."""
    if "history" not in rest or _said(rest["history"], shaped):
        return
    turns = _pairs(rest["history"]) or conversation_turns(rest["history"])
    first = shaped.messages[0]["role"] == "system"
    if turns is None or shaped.weights or shaped.calls or len(shaped.messages) != 2 + first:
        raise UnadaptedError("a history that is no list of earlier turns", column="history")
    shaped.messages[first:first] = [to_message(turn) for turn in turns]
    shaped.used.add("history")


def _pairs(value: Any) -> list[dict[str, Any]] | None:
    pairs = parsed(value, "[")
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in pairs
    ):
        return None
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _with_material(material: Record, shaped: Shaped) -> None:
    asked = [said for said in shaped.messages if said["role"] == "user"]
    for key, value in material.items():
        texts = _choices(value, shaped.messages[-1]["content"]) if key in CHOICES else _texts(value)
        if texts and _are_listed(texts, shaped) if key in CHOICES else _said(value, shaped):
            continue
        if texts is None or len(asked) != 1 or shaped.calls:
            raise UnadaptedError("a column that the question needs", column=key)
        asked[0]["content"] = "\n\n".join((asked[0]["content"], "\n".join(texts)))
        shaped.used.add(key)


def _texts(value: Any) -> list[str] | None:
    """A text, a list of texts, or a list of documents {title, text}; None for anything else."""
    value = parsed(value, "[")
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return None
    found = [_text_of(one) for one in value]
    return None if None in found else [text for text in found if text]


def _text_of(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    known = {"title", "text", "content", "id"}
    if not isinstance(value, dict) or not value.keys() <= known or not all(isinstance(v, str) for v in value.values()):
        return None
    return "\n".join(value[key] for key in ("title", "text", "content") if value.get(key))


def _choices(value: Any, answer: str) -> list[str] | None:
    """Choices as lines; with letters, where such stand beside them (ARC's {label, text}, {"A": ...}) or the answer is
    one. None where the answer is a number, which counts them from nobody knows where.
    """
    value = parsed(parsed(value, "{"), "[")
    if isinstance(value, dict) and value.keys() == {"label", "text"}:
        letters, texts = value["label"], value["text"]
        if not isinstance(letters, list) or not isinstance(texts, list) or len(letters) != len(texts):
            return None
        value = dict(zip(letters, texts, strict=True))
    if isinstance(value, dict):
        lettered = all(isinstance(text, str) for text in value.values())
        return [f"{letter}. {text}" for letter, text in value.items()] if lettered else None
    texts = _texts(value)
    if texts is None or (answer.strip().isdigit() and answer.strip() not in texts):
        return None
    bare = _LETTER.fullmatch(answer.strip()) and not any(_LETTERED.match(text) for text in texts)
    return [f"{chr(ord('A') + place)}. {text}" for place, text in enumerate(texts)] if bare else texts


def not_to_learn(record: Record) -> str | None:
    """The column that says that a record is not to be learnt; None where none does."""
    if record.keys() & set(PRODIGY) and str(record.get("answer")).lower() in REFUSED:
        return "answer"
    if str(record.get("status")).lower() in DISCARDED:
        return "status"
    taken = [key for key in LEFT_OUT if key in record and _truth(record[key]) is True]
    left = [key for key in TAKEN if key in record and _truth(record[key]) is False]
    return next(iter(taken + left), None)


def _truth(value: Any) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False, "0.0": False}.get(str(value).strip().lower())
