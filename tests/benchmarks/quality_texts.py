"""More defects to plant: answers that cannot teach, what cleaning mends, formats and labels; quality_defects.py says
how.

Refusals are written for this file, not taken from the lists that the steps hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

from tests.benchmarks.quality_defects import Make, Row

# ---------------------------------------------------------------- texts that cannot teach


def cut(row: Row, random: Random) -> Row | None:
    """The answer ends at a random place in the middle of a sentence, one time in three in the middle of a word."""
    words = row[1].split(" ")
    if len(words) < 12 or "```" in row[1]:
        return None
    kept = words[: random.randint(len(words) // 3, len(words) * 4 // 5)]
    if random.random() < 1 / 3 and len(kept[-1]) > 4:
        kept[-1] = kept[-1][:3]
    text = " ".join(kept).rstrip()
    return None if re.search(r"[^\w,(]$", text) else (row[0], text)


def cut_within(row: Row, random: Random) -> Row | None:
    """The same, but never at the end of a line: "- Lamp" is a whole list, and no method could tell that more came."""
    made = cut(row, random)
    return made if made and not re.match(r"[ \t]*(?:\n|$)", row[1][len(made[1]) :]) else None


def cut_long(row: Row, random: Random) -> Row | None:
    """As a limit on tokens leaves it."""
    made = cut(row, random)
    return made if made and len(made[1].split()) >= 20 else None


REFUSALS = (
    "I'm sorry, but as an AI language model I cannot help with that.",
    "I'm afraid I can't assist with this request.",
    "As an AI, I don't have access to that information. Is there anything else I can help you with?",
    "I apologize, but I am unable to fulfil this request.",
    "Sorry, I can't do that.",
    "Thank you for contacting us. A colleague will get back to you shortly.",
    "We have received your message and will reply within two working days.",
    "Unfortunately, as a large language model I am not able to browse the internet.",
    "Your request has been forwarded to the responsible team.",
    "I cannot provide that information.",
    "I'm just a language model, so I can't help you with that.",
    "I do not feel comfortable answering this question.",
)


def refused(row: Row, random: Random) -> Row:
    return row[0], random.choice(REFUSALS)


def helps_after_all(row: Row, random: Random) -> Row | None:
    """A decoy: it begins like a refusal and then answers."""
    whole = len(row[1].split()) >= 12 and row[1].rstrip().endswith(".")
    return (row[0], f"{random.choice(REFUSALS[:4])} In general, though: {row[1]}") if whole else None


def echo(row: Row, random: Random) -> Row | None:
    enough = len(row[0].split()) >= 5
    return (row[0], random.choice([row[0], row[0].lower(), row[0].rstrip("?.!") + "."])) if enough else None


def loop(row: Row, random: Random) -> Row | None:
    sentence = row[1].split(". ")[0].rstrip(".") + ". "
    return (row[0], (sentence * random.randint(6, 12)).strip()) if 4 <= len(sentence.split()) <= 40 else None


def empty(row: Row, random: Random) -> Row:
    return row[0], random.choice(["", "  ", "\n", "\u200b"])


# ---------------------------------------------------------------- what cleaning mends


def mojibake(row: Row, _: Random) -> Row | None:
    """UTF-8 read as Windows-1252, once; only what that code page can hold."""
    try:
        broken = row[1].encode().decode("cp1252")
    except UnicodeDecodeError:
        return None
    return None if broken == row[1] else (row[0], broken)


def html(row: Row, random: Random) -> Row | None:
    if re.search(r"[<>&\n`]", row[0]):
        return None
    text = row[0].replace("'", "&#39;").replace('"', "&quot;")
    return random.choice([f"<p>{text}</p>", f'<div class="msg"><span>{text}</span></div>', f"{text}<br/>"]), row[1]


# ---------------------------------------------------------------- format, of answers that are JSON objects


def _loads(row: Row) -> dict[str, str]:
    value: dict[str, str] = json.loads(row[1])
    return value


LOSSLESS: tuple[Callable[[Row], str], ...] = (
    lambda row: f"```json\n{row[1]}\n```",
    lambda row: str(_loads(row)),
    lambda row: row[1][:-1] + ",}",
    lambda row: json.dumps({key.title(): value for key, value in _loads(row).items()}),
    lambda row: json.dumps({"category": _loads(row)["intent"], "topic": _loads(row)["topic"]}),
    lambda row: json.dumps(dict(reversed(_loads(row).items())), indent=2),
)
LOSSY: tuple[Callable[[Row], str], ...] = (
    lambda row: f"This is about {_loads(row)['intent'].replace('_', ' ')}.",
    lambda row: _loads(row)["intent"],
    lambda row: json.dumps({"intent": _loads(row)["intent"]}),
    lambda row: row[1][: len(row[1]) * 2 // 3],
    lambda row: json.dumps({**_loads(row), "intent": [_loads(row)["intent"]]}),
    lambda row: f"{row[1]} {row[1]}",
)


def lossless(row: Row, random: Random) -> Row:
    return row[0], random.choice(LOSSLESS)(row)


def lossy(row: Row, random: Random) -> Row:
    return row[0], random.choice(LOSSY)(row)


# ---------------------------------------------------------------- labels


def spelled(row: Row, random: Random) -> Row | None:
    """A label in other case or with other separators."""
    other = random.choice([row[1].upper(), row[1].replace("_", " ").title(), row[1].replace("_", "-")])
    return None if other == row[1] else (row[0], other)


def mislabelled(labels: list[str]) -> Make:
    """Any other label, each as likely."""
    return lambda row, random: (row[0], random.choice([label for label in labels if label != row[1]]))


def confused(labels: list[str]) -> Make:
    """The label that shares most words with the right one: the mistake that people make."""

    def make(row: Row, _: Random) -> Row:
        own = set(row[1].split("_"))
        others = sorted(label for label in labels if label != row[1])
        return row[0], max(
            others, key=lambda label: len(own & set(label.split("_"))) / len(own | set(label.split("_")))
        )

    return make
