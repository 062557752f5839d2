"""The form that most answers of a dataset have: a JSON object, one of a set of labels, a list, or prose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from tasks.curation.answer_forms.fitting import folded_label
from tasks.curation.answer_forms.json_text import DuplicateKeyError, parse_object

Name = Literal["object", "label", "numbered list", "bulleted list", "prose", "any"]
ENOUGH = 20  # answers, below which nothing is learned
# Free answers come as prose and as lists, as the question has it; only where nearly all are alike is that meant.
LOOSE = 0.98
REQUIRED = 0.95  # share of objects that have a key, from which it belongs in all
# Uses from which a key may be in some objects, and a field may be null, however rare. A slip in a key's name is seen
# all the same: the right key is missing then.
KEY_TIMES = 2
# The longest label; of the labels by which a form is known, the least uses of one, and of all on average.
LABEL_CHARACTERS, LABEL_TIMES, LABEL_USES = 60, 3, 10
OWN = 0.1  # share of the usual spelling's uses, from which another spelling is a label of its own
SLIP_LETTERS = 5  # of a label, from which on one letter more, less or other is a slip: cat and bat are two
SHORT = 2  # of letters: codes such as US and us, in which case can mean something
_ENDED = re.compile(r"[.!?\u2026:]$")  # a sentence
_WORD = re.compile(r"[^\W_]+")
NUMBERED, BULLETED = r"(?m)^[ \t]*\(?\d{1,3}[.):][ \t]+\S", r"(?m)^[ \t]*[-*•·–][ \t]+\S"
TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


@dataclass(frozen=True)
class Form:
    """Form of answers. name: any when none has the majority. share: of the answers that have it.

    schema: of an object. labels: the labels, folded, rare ones too.
    """

    name: Name
    share: float = field(default=1.0, compare=False)  # of rows that leave, it grows; the form stays
    schema: dict[str, Any] = field(default_factory=dict)
    labels: frozenset[str] = frozenset()


def shapes(text: pl.Expr) -> pl.Expr:
    """The shape of each text, by its looks: object, numbered list, bulleted list or prose. Intro and end may frame a
    list.
    """
    lines = text.str.count_matches(r"(?m)^[ \t]*\S")
    numbered, bulleted = (text.str.count_matches(pattern) for pattern in (NUMBERED, BULLETED))
    braces = text.str.contains(r"(?s)^\s*(?:```\w*\s*)?\{.*\}\s*(?:```\s*)?$")
    return (
        pl.when(braces)
        .then(pl.lit("object"))
        .when((numbered >= 2) & (2 * numbered >= lines))
        .then(pl.lit("numbered list"))
        .when((bulleted >= 2) & (2 * bulleted >= lines))
        .then(pl.lit("bulleted list"))
        .otherwise(pl.lit("prose"))
    )


def infer_form(texts: pl.Series, majority: float) -> Form:
    """The form of at least `majority` of the answers; of lists and prose, at least LOOSE of them. Prose may have lists
    in it.

    The order of texts is of no account.
    """
    if texts.len() < ENOUGH:
        return Form("any")
    counts = texts.to_frame("text").group_by("text").len()
    labels = label_set(counts, texts.len(), majority)
    if labels:
        return Form("label", labels=labels)
    shaped = counts.with_columns(shape=shapes(pl.col("text")))
    shares = dict(shaped.group_by("shape").agg(pl.col("len").sum() / texts.len()).iter_rows())
    shape, share = max(shares.items(), key=lambda item: (item[1], item[0]))
    if shape == "object" and share >= majority:
        found = shaped.filter(shape="object").select("text", "len").iter_rows()
        objects = [(value, times) for text, times in found if (value := _object(text)) is not None]
        return _learn_object(objects, texts.len(), majority)
    if "list" in shape and share >= LOOSE:
        return Form(shape, share)
    free = 1 - shares.get("object", 0.0)
    return Form("prose", free) if free >= LOOSE else Form("any")


def _object(text: str) -> dict[str, Any] | None:
    try:
        return parse_object(text)[0]
    except DuplicateKeyError:
        return None


# ---------------------------------------------------------------- labels


def label_set(counts: pl.DataFrame, total: int, majority: float) -> frozenset[str]:
    """The labels, folded, that answers are one of; empty when the answers are no labels. counts: text, len.

    Labels used LABEL_TIMES times or more say whether they are. Then one used less often is a label too if it looks like
    these; of one used once that is another label but for a letter, a person must say whether it is.
    """
    short = pl.col("text").str.len_chars().is_between(1, LABEL_CHARACTERS) & ~pl.col("text").str.contains(
        "\n", literal=True
    )
    uses: Counter[str] = Counter()
    words: dict[str, int] = {}
    for text, times in counts.filter(short).sort("text").iter_rows():
        uses[folded_label(text)] += times
        words[folded_label(text)] = len(_WORD.findall(text))
    known = {label: times for label, times in uses.items() if times >= LABEL_TIMES}
    used = sum(known.values())
    if not known or used < majority * total or used < LABEL_USES * len(known):
        return frozenset()
    most, ended = max(words[label] for label in known), any(map(_ENDED.search, known))
    alike = {label for label in uses.keys() - known if ended or not _ENDED.search(label)}
    again = {label for label in alike if uses[label] > 1 and words[label] <= most + 1}
    once = {label for label in alike - again if words[label] <= most and not any(_slip(label, one) for one in known)}
    return frozenset(known) | again | {label for label in once if uses[label] == 1}


def _slip(label: str, known: str) -> bool:
    """Whether two labels differ in one letter that is missing, added, another, or in its neighbour's place."""
    shorter = min(len(label), len(known))
    at = next((i for i in range(shorter) if label[i] != known[i]), shorter)
    (a, b), (rest, others) = (label[at : at + 2], known[at : at + 2]), (label[at:], known[at:])
    if shorter < SLIP_LETTERS or any(map(str.isdigit, a[:1] + b[:1])):
        return False
    swapped = a == b[::-1] and rest[2:] == others[2:]
    return swapped or rest[1:] in (others, others[1:]) or rest == others[1:]


def spellings(counts: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Slips in labels, {another spelling: the one used most}: differing only in case, width and separators.

    Of two that are both in use (bxc3 and Bxc3, Byte and byte) nobody knows that they are one; they stay two.
    """
    merged = {}
    for name, group in _alike(counts).items():
        best = min(group, key=lambda label: (-group[label], label))
        slips = [label for label in group if len(name) > SHORT and not _in_use(group[label], group[best])]
        blanks = [label for label in group if label.strip() == best.strip()]
        merged.update({label: best for label in (*slips, *blanks) if label != best})
    return merged


def key_spellings(counts: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Variants of an object's keys, {another spelling: the one used most}, however often each is used: no form has two
    keys that differ in no more.
    """
    groups = (group for name, group in _alike(counts).items() if len(name) > SHORT)
    best = {label: min(group, key=lambda one: (-group[one], one)) for group in groups for label in group}
    return {label: usual for label, usual in best.items() if label != usual}


def _alike(counts: Iterable[tuple[str, int]]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = {}
    for label, times in sorted(counts):
        groups.setdefault(folded_label(label), {})[label] = times
    return groups


def _in_use(times: int, most: int) -> bool:
    return times >= LABEL_TIMES and times >= OWN * most


# ---------------------------------------------------------------- objects


def _learn_object(objects: list[tuple[dict[str, Any], int]], total: int, majority: float) -> Form:
    """The schema that the objects keep; only that they are objects where their keys have nothing in common."""
    count = sum(times for _, times in objects)
    if not count or count < majority * total:
        return Form("any")
    keys = _key_uses(objects)
    if other := key_spellings(keys.items()):
        objects = [({other.get(key, key): inner for key, inner in value.items()}, times) for value, times in objects]
        keys = _key_uses(objects)
    known = [key for key, times in keys.items() if times >= KEY_TIMES]
    required = sorted(key for key in known if keys[key] >= REQUIRED * count)
    keep = sum(times for value, times in objects if set(required) <= set(value) <= set(known))
    if not required or keep < majority * count:
        return Form("object", count / total, {"type": "object"})
    properties = {key: _property(objects, key, keys[key]) for key in _order(objects, known)}
    schema = {"type": "object", "additionalProperties": False, "required": required, "properties": properties}
    return Form("object", count / total, schema)


def _key_uses(objects: list[tuple[dict[str, Any], int]]) -> Counter[str]:
    keys: Counter[str] = Counter()
    for value, times in objects:
        keys.update(dict.fromkeys(value, times))
    return keys


def _order(objects: list[tuple[dict[str, Any], int]], known: list[str]) -> list[str]:
    """The known keys as the objects have them: by the mean of their places, so that rare keys find theirs too."""
    places: dict[str, list[int]] = {key: [0, 0] for key in known}
    for value, times in objects:
        for place, key in enumerate(key for key in value if key in places):
            places[key][0] += place * times
            places[key][1] += times
    return sorted(known, key=lambda key: (places[key][0] / places[key][1], key))


def _property(objects: list[tuple[dict[str, Any], int]], key: str, count: int) -> dict[str, Any]:
    types: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for value, times in objects:
        if key in value:
            types[TYPES[type(value[key])]] += times
            if isinstance(value[key], str):
                texts[value[key]] += times
    often = (1 - REQUIRED) * count
    usual = sorted(name for name, times in types.items() if times >= (KEY_TIMES if name == "null" else often))
    if usual == ["string"] and (allowed := _allowed(texts)):
        return {"enum": allowed}
    return {"type": usual[0] if len(usual) == 1 else usual}


def _allowed(texts: Mapping[str, int]) -> list[str]:
    """Every value of a field that holds one of a set, in its usual spelling; rare ones too: no one
    said they are wrong.
    """
    known = label_set(pl.DataFrame({"text": list(texts), "len": list(texts.values())}), sum(texts.values()), REQUIRED)
    return sorted(set(texts) - set(spellings(texts.items()))) if known else []
