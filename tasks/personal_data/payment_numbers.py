"""Payment cards and bank accounts in a text. An issuer's range, a country's structure and a checksum decide.

Each finder takes a text whose dates are blanked (spans.without_dates) and gives Spans; its pattern, which Polars reads
too, is in every text where the finder finds something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tasks.personal_data.spans import SEPARATOR, Span

# ---------------------------------------------------------------- cards

CARD = rf"[2-6](?:{SEPARATOR}?\d){{12}}"
_RUN = re.compile(rf"(?<![\w-])\d+(?:{SEPARATOR}\d+)*(?!\w)")
# Number ranges (ISO 7812) of Visa, Mastercard, American Express, Diners, Discover, JCB and UnionPay.
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"
    r"|35\d{14}|62\d{14,17}"
)
# How the digits of a card are grouped: a list of numbers that happens to pass the checksum is grouped otherwise.
_GROUPED = re.compile(r"\d\d|4 4 4 [1-7]|4 4 4 4(?: [1-3])?|4 6 [45]|4 3 3 3|8 8|6 1[0-3]")
_MOST_GROUPS = 5
_CALLED_CARD = re.compile(r"(?i)card|visa|karte|carte|tarjeta|carta|kaart")
_EXPIRY = re.compile(r"(?:0[1-9]|1[0-2])\d\d")


def cards(text: str) -> Iterator[Span]:
    """A run of groups may hold a card and what was written after it: an expiry date, a security code, another card."""
    for run in _RUN.finditer(text):
        groups = [(run.start() + g.start(), run.start() + g.end()) for g in re.finditer(r"\d+", run[0])]
        windows = ((i, j) for i in range(len(groups)) for j in range(i, min(i + _MOST_GROUPS, len(groups))))
        found = [(i, j) for i, j in windows if _is_card(text, groups[i : j + 1])]
        starts, ends = {i for i, _ in found}, {j for _, j in found}
        for i, j in found:
            whole_before = i - 1 in ends or not _goes_on(text, groups, i - 1, i)
            if whole_before and (j + 1 in starts or not _goes_on(text, groups, j + 1, j)):
                yield Span(groups[i][0], groups[j][1], re.sub(r"\D", "", text[groups[i][0] : groups[j][1]]))


def _is_card(text: str, groups: Sequence[tuple[int, int]]) -> bool:
    from stdnum import ean, luhn

    digits = "".join(text[start:end] for start, end in groups)
    if not 13 <= len(digits) <= 19:
        return False
    separators = {text[before[1] : after[0]] for before, after in pairwise(groups)}
    if len(separators) > 1 or not _GROUPED.fullmatch(" ".join(str(end - start) for start, end in groups)):
        return False
    # Visa issues no 13 digits any more, and barcodes of Germany, Japan and Russia have as many and start with a 4 too.
    doubtful = len(digits) == 13 and (
        ean.is_valid(digits) or not _CALLED_CARD.search(text, max(0, groups[0][0] - 40), groups[0][0])
    )
    return _ISSUED.fullmatch(digits) is not None and luhn.is_valid(digits) and not doubtful


def _goes_on(text: str, groups: Sequence[tuple[int, int]], other: int, own: int) -> bool:
    """Whether group `other` next to a card's group `own` makes it part of a longer number: four
    more digits, a decimal.
    """
    if not 0 <= other < len(groups):
        return False
    (start, end), (own_start, own_end) = groups[other], groups[own]
    joint = text[min(end, own_end) : max(start, own_start)]
    if joint == "." and other > own and set(text[start:end]) == {"0"}:
        return False  # 4111111111111111.0
    return joint in ".-" or (end - start == 4 and not (other > own and _EXPIRY.fullmatch(text, start, end)))


# ---------------------------------------------------------------- bank accounts

IBAN = r"[A-Za-z]{2}\d{2}[ \u00a0\u202f.-]?[A-Za-z0-9]{4}"
# The next may start inside one.
_IBAN = re.compile(r"(?<![^\W_])(?=([A-Za-z]{2}\d{2}(?:[ \u00a0\u202f.-]?[A-Za-z0-9]){11,30}))")
_SHORTEST, _LONGEST = 15, 34  # Norway's, and what ISO 13616 allows


def ibans(text: str) -> Iterator[Span]:
    """The match may run into the next word, so checksum and the country's structure (SWIFT
    registry) say where it ends.
    """
    from stdnum import iban
    from stdnum.iso7064 import mod_97_10

    for found in _IBAN.finditer(text):
        places = [found.start() + i for i, letter in enumerate(found[1]) if letter.isalnum()]
        letters = "".join(text[place] for place in places).upper()
        for length in range(_SHORTEST, min(_LONGEST, len(letters)) + 1):
            value = letters[:length]
            # Without the country's own check inside the number: test data seldom has it right, and a leak costs more.
            if mod_97_10.is_valid(value[4:] + value[:4]) and iban.is_valid(value, check_country=False):
                yield Span(found.start(), places[length - 1] + 1, value)
                break
