"""Payment cards, bank accounts and telephones in a text. A checksum, an issuer's range or a numbering plan decides.

Each finder takes a text whose dates are blanked (spans.without_dates) and gives Spans; its pattern, which Polars reads too,
is in every text where the finder finds something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from tasks.core.spans import SEPARATOR, Span, called_an_order

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
    """Whether group `other` next to a card's group `own` makes it part of a longer number: four more digits, a decimal."""
    if not 0 <= other < len(groups):
        return False
    (start, end), (own_start, own_end) = groups[other], groups[own]
    joint = text[min(end, own_end) : max(start, own_start)]
    return joint in ".-" or (end - start == 4 and not (other > own and _EXPIRY.fullmatch(text, start, end)))


# ---------------------------------------------------------------- bank accounts

IBAN = r"[A-Za-z]{2}\d{2}[ \u00a0\u202f.-]?[A-Za-z0-9]{4}"
# The next may start inside one.
_IBAN = re.compile(r"(?<![^\W_])(?=([A-Za-z]{2}\d{2}(?:[ \u00a0\u202f.-]?[A-Za-z0-9]){11,30}))")
_SHORTEST, _LONGEST = 15, 34  # Norway's, and what ISO 13616 allows


def ibans(text: str) -> Iterator[Span]:
    """The match may run into the next word, so checksum and the country's structure (SWIFT registry) say where it ends."""
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


# ---------------------------------------------------------------- telephones

_S = r"[ \u00a0\u202f().\-/\u2010-\u2015]"
_CALLED = (
    r"(?i:tel(?:e\w{0,8})?|phone[ds]?|mob(?:il\w{0,3})?|cell(?:phone|ulare)?|call(?:s|ed|ing)?|text(?:s|ed)?|txt|ring|fax|sms|whatsapp"
    r"|contact|dial|handy|anruf\w{0,3}|portable|appel\w{0,3}|m[oó]vil|llam\w{0,3}|chiam\w{0,4})"
)
# Written with a + or a 0 first, or in groups, or with the country's code, or called a telephone's.
PHONE = (
    rf"\+{_S}{{0,3}}\d(?:{_S}{{0,3}}\d){{6}}|(?:^|[^0-9A-Za-z]|\\[nrt])0(?:{_S}{{0,3}}\d){{6}}"
    rf"|\d{{2,}}{_S}{{1,3}}\d{{2,4}}{_S}{{1,3}}\d{{2,}}|\d{{2,6}}{_S}{{1,3}}\d{{5,}}|[2-9]\d{{10}}|{_CALLED}\D{{0,20}}\d{{7}}"
)
_CALL = re.compile(rf"(?:^|[\W\d_]){_CALLED}(?:[\W_]\D{{0,20}})?$")
_CALLED_AT_ONCE = re.compile(rf"(?:^|[\W\d_]){_CALLED}[:-]?$")  # call09050000327
_GLUED = re.compile(r"\w-?$|#$|\d\W$|[\d\w][.,]$")  # before the tail of an order number (HP-0791112345) or of a longer number
_ADDED = re.compile(r"[\d)=+*×] ?$")  # before a term of a sum, or before the + of one
_ISBN = re.compile(r"(?:97[89][- ])?\d{1,5}[- ]\d{1,7}[- ]\d{1,7}[- ][\dX](?!\w)")
_LOOSE_DATE = re.compile(
    r"\d\d?[-. ]\d\d?[-. ]\d\d(?: \d\d)?$|\d{1,2}[-. ]\d{1,2}[-. ](?:19|20)\d\d\b|(?:19|20)\d\d[-. ]\d\d?[-. ]\d\d?\b"
)
_DECIMAL = re.compile(r"\d{1,3}\.\d+|[1-9]\d{0,2}(?:[ .]\d{3})+")  # a coordinate; a price, when the money stands beside it
_MONEY_BEFORE = re.compile(r"(?:[$€£¥]|\b[A-Z]{3}) ?$")
_MONEY_AFTER = re.compile(r",\d\d\b| ?(?:[$€£¥]|(?:EUR|USD|GBP|CHF|euros?|dollars?|pounds?)\b)")


def phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """regions: countries whose numbers are known without a leading +; others are found when written with one."""
    import phonenumbers

    for region in regions or (None,):
        for found in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE):
            if _is_phone(text, found, region):
                start = found.start + (found.raw_string.startswith("(") and ")" not in found.raw_string)  # "(020 7946 0958)"
                value = phonenumbers.format_number(found.number, phonenumbers.PhoneNumberFormat.E164)
                yield Span(start, found.end, value)


def _is_phone(text: str, found: Any, region: str | None) -> bool:
    """A possible number that is written as one; how sure its plan must be depends on how it is written."""
    import phonenumbers

    raw, number, start = found.raw_string, found.number, found.start
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return False
    if re.fullmatch(r"\+? ?\d+", raw) and _ADDED.search(text, max(0, start - 3), start):
        return False
    if raw.lstrip("( ").startswith("+"):
        return True
    called = _CALL.search(text, max(0, start - 40), start) is not None
    if _is_something_else(text, start, found.end, raw):
        return False
    if raw.lstrip("(").startswith("0"):
        # In one piece it could be an order's. Numbers kept for fiction are in no plan, but as long as those that are.
        return not raw.isdigit() or called or phonenumbers.is_valid_number(number) or _as_long_as_a_mobile(number, region)
    if called or not phonenumbers.is_valid_number(number):
        return called and bool(phonenumbers.is_valid_number(number))
    code = str(number.country_code)
    abroad = len(code) > 1 and re.sub(r"\D", "", raw) == f"{code}{number.national_number}"  # 44 20 7946 0958, without the +
    return abroad or (not raw.isdigit() and _needs_no_zero(region))


def _is_something_else(text: str, start: int, end: int, raw: str) -> bool:
    from stdnum import isbn

    if _GLUED.search(text, max(0, start - 2), start) and not _CALLED_AT_ONCE.search(text, max(0, start - 10), start):
        return True
    if _LOOSE_DATE.match(raw) or called_an_order(text, start):
        return True
    if _DECIMAL.fullmatch(raw):
        money = _MONEY_BEFORE.search(text, max(0, start - 5), start) or _MONEY_AFTER.match(text, end)
        return (raw.count(".") == 1 and " " not in raw) or money is not None
    book = _ISBN.match(text, start)
    return book is not None and isbn.is_valid(book[0])


@cache
def _mobile_digits(region: str) -> int:
    import phonenumbers

    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    return len(str(example.national_number)) if example else 0


def _as_long_as_a_mobile(number: Any, region: str | None) -> bool:
    return region is not None and len(str(number.national_number)) == _mobile_digits(region)


@cache
def _needs_no_zero(region: str | None) -> bool:
    """Whether people of that country call each other without a 0 before the number."""
    import phonenumbers

    return region is not None and phonenumbers.ndd_prefix_for_region(region, True) != "0"
