"""Made-up conversations at any size, with the dirt that exports have, and a recipe that curates them.

Words are drawn by Zipf's law and set in sentences; a prompt has 30 to 58 of them, an answer 20 to 60. Shares of the
rows: one in five asks what another asks with one to four words changed; the rest of the dirt is in DIRT.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.tiny_model import tiny_model

Ints = npt.NDArray[np.int64]
VOCABULARY, SHARE_NEAR, HOLDOUT, CONTEXT = 30_000, 0.2, 500, 8192
PART = 100_000  # rows that are Python objects at a time
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
SYLLABLES = [first + vowel for first in [*"bcdfghklmnprstvw", "ch", "st", "tr", "pl"] for vowel in VOWELS]
# What is wrong with rows, and how often.
DIRT = {
    "copy": 0.02,
    "other answer": 0.01,
    "leak": 0.001,
    "html": 0.05,
    "signature": 0.05,
    "quote": 0.02,
    "address": 0.03,
    "telephone": 0.02,
    "refusal": 0.01,
    "cut": 0.01,
    "empty": 0.005,
    "accents": 0.10,
    "two turns": 0.10,
}
REFUSAL = "I'm sorry, but as an AI language model I cannot help with that."


def write_recipe(rows: int, folder: Path) -> Path:
    """raw.jsonl of `rows` rows, holdout.jsonl, a tiny base model and recipe.yaml in `folder`; returns the recipe."""
    base = tiny_model(folder / "base", ["made up"])
    config = json.loads((base / "config.json").read_text())
    # As a usual model has.
    (base / "config.json").write_text(json.dumps({**config, "max_position_embeddings": CONTEXT}))
    draw = np.random.default_rng(0)
    words = _words(draw)
    asked = list(_texts(draw.integers(30, 59, HOLDOUT), words, draw))
    _write(folder / "holdout.jsonl", zip(asked, _texts(draw.integers(20, 61, HOLDOUT), words, draw), strict=True))
    with (folder / "raw.jsonl").open("w", encoding="utf-8") as file:
        for start in range(0, rows, PART):
            for record in _records(start, min(PART, rows - start), words, asked, np.random.default_rng(start + 1)):
                file.write(record + "\n")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        "name: million\nbase_model: {source: base}\ndata: {train: [raw.jsonl], holdout: [holdout.jsonl]}\ncontract: "
        "sft\n"
        "gate: {rules: [{metric: exact, at_least: 0.5}]}\n"
    )
    return recipe


def _write(file: Path, pairs: Iterator[tuple[str, str]]) -> None:
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"messages": _turns(asked, said)}) + "\n" for asked, said in pairs)


def _turns(asked: str, said: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]


def _words(draw: np.random.Generator) -> npt.NDArray[np.object_]:
    """Four forms of each word: as it is, at the start of a sentence, at its end, and both."""
    parts = draw.choice(len(SYLLABLES), (VOCABULARY, 4))
    plain = ["".join(SYLLABLES[i] for i in part[: 1 + n % 4]) for n, part in enumerate(parts.tolist())]
    return np.array(
        [plain, [w.title() for w in plain], [w + "." for w in plain], [w.title() + "." for w in plain]], object
    )


def _texts(length: Ints, words: npt.NDArray[np.object_], draw: np.random.Generator) -> Iterator[str]:
    return _spelled(*_drawn(length, draw), words)


def _drawn(length: Ints, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """Words as numbers, and their forms; sentences of 5 to 14 words."""
    ranks = np.arange(1, VOCABULARY + 1) ** -1.0
    drawn = draw.choice(VOCABULARY, (len(length), int(length.max())), p=ranks / ranks.sum())
    place = np.arange(drawn.shape[1])
    every = draw.integers(5, 15, len(length))[:, None]
    start, end = place % every == 0, (place % every == every - 1) | (place == length[:, None] - 1)
    return np.where(place < length[:, None], drawn, -1), start.astype(np.int64) + 2 * end


def _spelled(drawn: Ints, form: Ints, words: npt.NDArray[np.object_]) -> Iterator[str]:
    for row, forms in zip(drawn, form, strict=True):
        known = row >= 0
        yield " ".join(words[forms[known], row[known]])


def _records(
    start: int, rows: int, words: npt.NDArray[np.object_], leaks: list[str], draw: np.random.Generator
) -> Iterator[str]:
    """Rows as lines of JSON; leaks: prompts of the holdout."""
    near = draw.random(rows) < SHARE_NEAR
    source = np.where(near, draw.integers(0, rows, rows), np.arange(rows))
    drawn, form = _drawn(draw.integers(30, 59, rows), draw)
    drawn, form = drawn[source], form[source]
    for change in range(4):
        chosen = np.flatnonzero(near & (draw.integers(1, 5, rows) > change))
        drawn[chosen, draw.integers(0, 30, len(chosen))] = draw.integers(0, VOCABULARY, len(chosen))
    said = np.array(list(_texts(draw.integers(20, 61, rows), words, draw)), object)[source]
    dirt = {name: draw.random(rows) < share for name, share in DIRT.items()}
    before = ("", "")
    for i, (asked, answer) in enumerate(zip(_spelled(drawn, form, words), said, strict=True)):
        has = {name for name, chosen in dirt.items() if chosen[i]}
        asked = before[0] if {"copy", "other answer"} & has else leaks[i % len(leaks)] if "leak" in has else asked
        answer = before[1] if "copy" in has else answer
        before = (asked, answer)
        turns = _turns(_dirty(asked, has, start + i), _spoiled(answer, has))
        turns += _turns(f"And {asked[:40].lower()}?", f"Yes. {answer[:60]}.") if "two turns" in has else []
        yield json.dumps({"messages": turns, "created_at": f"2026-{i % 12 + 1:02}-{i % 28 + 1:02}", "id": start + i})


def _dirty(asked: str, has: set[str], number: int) -> str:
    if "empty" in has:
        return ""
    asked = asked.replace("a", "á").replace("'", "\u2019") if "accents" in has else asked
    asked += f" Write to jo.{number}@example.com please." if "address" in has else ""
    asked += f" Ring +44 20 7946 0{number % 1000:03}." if "telephone" in has else ""
    asked = f"<div><p>{asked}</p><br>Thanks &amp; bye</div>" if "html" in has else asked
    asked += "\n\nKind regards,\nJo Smith\nSent from my iPhone" if "signature" in has else ""
    return asked + (
        "\n\nOn 3 May 2026, Meera wrote:\n> We have received your message.\n> Meera" if "quote" in has else ""
    )


def _spoiled(answer: str, has: set[str]) -> str:
    return REFUSAL if "refusal" in has else answer[: len(answer) * 2 // 3] if "cut" in has else answer
