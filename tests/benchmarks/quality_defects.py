"""Defects to plant in clean rows, each as a function of a row and a random generator; null where a row is not fit for
it.

A row is (asked, answered). A defect in place gives what the row becomes; a copy gives a row to add beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

Row = tuple[str, str]
THRESHOLD, NGRAM = 0.7, 3  # of two texts that count as nearly the same, as the steps have it by default


Make = Callable[[Row, Random], Row | None]


@dataclass(frozen=True)
class Defect:
    """One kind of defect.

    copy: what is made is added and the row stays; else it takes the row's place. holdout: it is made of a judging row.
    found: the ledger's words for it, as `step` or `step: reason`. mend: what is expected of it: to go, to come back as
    the row it was made of (same), or with its value replaced (redacted). aim: recall and precision at least, 0 where
    none is set.
    """

    name: str
    make: Make
    found: tuple[str, ...]
    copy: bool = False
    holdout: bool = False
    mend: Literal["go", "same", "redacted"] = "go"
    aim: float = 0.0


def shingles(text: str) -> set[tuple[str, ...]]:
    """As tasks.curation.dedupe documents them, computed here by themselves."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + NGRAM]) for i in range(max(len(words) - NGRAM + 1, 1))} if words else set()


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / max(len(a | b), 1)


# ---------------------------------------------------------------- copies


def exact(row: Row, _: Random) -> Row:
    return row


def edited(text: str, random: Random) -> str:
    """A small edit as people make it: a typing error, other case and punctuation, a word of
    courtesy, a word left out.
    """
    words = text.split()
    at = random.randrange(len(words))
    word = words[at]
    return random.choice(
        [
            " ".join([*words[:at], word[:2] + word[2:3] * 2 + word[3:], *words[at + 1 :]]),
            text.rstrip(" .?!").lower() + random.choice(["", "!", " ??"]),
            random.choice(["Hello, ", "Hi there: ", "Please: "]) + text,
            text + random.choice([" Thanks.", " Please help.", " Thank you in advance."]),
            " ".join([*words[:at], *words[at + 1 :]]),
        ]
    )


def near(row: Row, random: Random) -> Row | None:
    """The same answer to a prompt with a Jaccard of at least the threshold, which is not the prompt itself."""
    asked = edited(row[0], random) if len(row[0].split()) > 3 else row[0]
    same = " ".join(asked.lower().split()) == " ".join(row[0].lower().split())
    return None if same or jaccard(asked, row[0]) < THRESHOLD else (asked, row[1])


def near_miss(row: Row, random: Random) -> Row | None:
    """A prompt like another to between 0.4 and just below the threshold: two tasks on one pattern."""
    words = row[0].split()
    if len(words) < 8:
        return None
    for _ in range(random.randint(1, 3)):
        words[random.randrange(len(words))] = random.choice(
            ("harbour", "copper", "seventeen", "orchard", "violin", "glacier")
        )
    asked = " ".join(words)
    return (asked, row[1] + " This one differs.") if 0.4 <= jaccard(asked, row[0]) < THRESHOLD - 0.01 else None


def answered_by(pool: list[str]) -> Make:
    """The very same prompt with another row's answer."""

    def make(row: Row, random: Random) -> Row | None:
        other = random.choice(pool)
        return None if other == row[1] else (row[0], other)

    return make


def another_number(row: Row, random: Random) -> Row | None:
    """The very same prompt and answer, with another number in the answer: wholly other words are no contradiction."""
    found = list(re.finditer(r"\b\d{1,3}\b", row[1]))
    if not found:
        return None
    number = random.choice(found)
    return row[0], f"{row[1][: number.start()]}{int(number[0]) + random.randint(1, 9)}{row[1][number.end() :]}"


def near_answered_by(pool: list[str]) -> Make:
    """A nearly equal text with another label."""

    def make(row: Row, random: Random) -> Row | None:
        twin, other = near(row, random), random.choice(pool)
        return None if twin is None or other == row[1] else (twin[0], other)

    return make


def leaked(row: Row, random: Random) -> Row | None:
    """A holdout row's prompt in training: as it is, with a small edit, or with other words around it."""
    if len(row[0].split()) < 10:
        return None
    asked = random.choice(
        [row[0], row[0].upper(), (near(row, random) or row)[0], f"Question 14. {row[0]}\nAnswer briefly."]
    )
    return asked, f"Here is what I found. {row[1].split('.')[0]}."


# ---------------------------------------------------------------- personal data


def luhn(digits: str) -> int:
    """The check digit of a card's other digits (ISO/IEC 7812-1)."""
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits))]
    return -sum(d - 9 * (d > 9) for d in doubled) % 10


def card(random: Random, wrong: int = 0) -> str:
    head = random.choice(("4539", "4916", "5223", "5412")) + "".join(random.choices("0123456789", k=11))
    number = head + str((luhn(head) + wrong) % 10)
    between = random.choice(("", " ", "-"))
    return between.join(number[i : i + 4] for i in range(0, 16, 4))


def iban(random: Random, wrong: int = 0) -> str:
    """German and British bank accounts with their check digits (ISO 13616), or with wrong ones."""
    country = random.choice(("DE", "GB"))
    length = {"DE": 18, "GB": 14}[country]
    account = ("NWBK" if country == "GB" else "") + "".join(random.choices("0123456789", k=length))
    digits = "".join(str(int(c, 36)) for c in f"{account}{country}00")
    number = f"{country}{(98 - int(digits) % 97 + wrong) % 97 or 97:02d}{account}"
    return number if random.random() < 0.5 else " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def email(random: Random) -> str:
    name = random.choice(("r.meyer", "jo_smith", "anna.k+shop", "lee42", "b.oduya"))
    return f"{name}{random.randrange(100)}@{random.choice(('posteo.de', 'mail.harbour-pine.co.uk', 'gmail.com', 'uni-ulm.de'))}"


VALUES: dict[str, Callable[[Random], str]] = {"card": card, "iban": iban, "email": email}
SAID = {
    "card": ("My card number is {}.", "Charged to {} yesterday.", "(card {})"),
    "iban": ("Send it to {}, please.", "IBAN: {}", "My account is {}."),
    "email": ("Write to {}.", "You can reach me at {}", "cc {}, thanks."),
}
DECOYS = (
    lambda r: f"Order number {card(r, wrong=r.randint(1, 9))}.",
    lambda r: f"Reference {iban(r, wrong=r.randint(1, 90))}.",
    lambda r: f"Built with version 4.{r.randrange(20)}.{r.randrange(20)} on a {r.randrange(1000, 9999)}x480 grid.",
    lambda r: f"Part HP-{r.randrange(10**4, 10**5)}, {r.randrange(1, 9)}@{r.randrange(10, 99)} each.",
)
MARK = "\u2063"  # stands between a planted value and its text until the row is written


def personal(kind: str) -> Make:
    """A sentence with a value of this kind at the end of the prompt; the value stands between two MARKs."""

    def make(row: Row, random: Random) -> Row:
        return f"{row[0]} {random.choice(SAID[kind]).format(MARK + VALUES[kind](random) + MARK)}", row[1]

    return make


def impersonal(row: Row, random: Random) -> Row:
    return f"{row[0]} {random.choice(DECOYS)(random)}", row[1]
