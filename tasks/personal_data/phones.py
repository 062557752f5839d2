"""Telephone numbers in a text, by the numbering plans of Google's libphonenumber.

`phones` takes a text whose dates are blanked (spans.without_dates) and gives Spans; PHONE, which Polars reads too, is
in every text where it finds something. The plan alone is not enough: most numbers of ten digits are in use somewhere,
and numbers kept for fiction are in none. So how it is written counts as well: a +, a 0 first, groups, and the word
before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from tasks.personal_data.spans import Span, called_an_order

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
_JOINS = re.compile(r"\s*[,;/&|]?\s*(?:(?:and|or|und|oder|et|ou|y|o|e|en|of)\s)?\s*")
_CALLED_AT_ONCE = re.compile(rf"(?:^|[\W\d_]){_CALLED}[:-]?$")  # call09050000327
# Before the tail of an order number (HP-0791112345), of a longer number or of a decimal (.0791112345).
_GLUED = re.compile(r"\w-?$|#$|\d\W$|[\d\w][.,]$|(?:^|[\s(\[=,-])\.$")
# What a number is called that is counted, measured or computed with, right before it.
_COUNTED = re.compile(
    r"(?i)(?:^|[\W_])(?:[up]id|(?<!caller[ _-])id|seed|hash|checksum|octal|hex|binary|bits?|bytes?|array|vector|matrix"
    r"|matrices|tensor|rows?|columns?|table|sequence|scores?|values?|temperatures?|frequenc(?:y|ies)|coordinates?|coords?"
    r"|lat(?:itude)?|lon(?:gitude)?|lng|(?:grid|map) ref(?:erence)?|eastings?|northings?|zip(?: ?codes?)?"
    r"|post(?:al )?codes?|plz|sort code|ports?|offset|lott(?:ery|o)(?: numbers?)?|stack|barcode)[\W_]{0,3}$"
)
_ADDED = re.compile(r"[\d)=+*×] ?$")  # before a term of a sum, or before the + of one
_ISBN = re.compile(r"(?:97[89][- ])?\d{1,5}[- ]\d{1,7}[- ]\d{1,7}[- ][\dX](?!\w)")
_D = r"(?:0?[1-9]|[12]\d|3[01])"  # of a day, or of a month where it comes second
_LOOSE_DATE = re.compile(
    rf"{_D}[-. ]{_D}[-. ]\d\d(?: \d\d)?$|{_D}([-.]){_D}\1\d\d [012]\d[-.]?[0-5]\d$"
    rf"|{_D}[-. ]{_D}[-. ](?:19|20)\d\d\b|(?:19|20)\d\d[-. ]\d\d?[-. ]{_D}\b"
)
_OPENING_HOURS = re.compile(r"(?:[01]\d|2[0-4])[0-5]\d ?[-\u2013] ?(?:[01]\d|2[0-4])[0-5]\d")
_DECIMALS = re.compile(r"\d+\.\d+(?: \d+\.\d+)+")
# A coordinate; a price, when the money stands beside it.
_DECIMAL = re.compile(r"\d{1,3}\.\d+|[1-9]\d{0,2}(?:[ .]\d{3})+")
_MONEY_BEFORE = re.compile(r"(?:[$€£¥]|\b[A-Z]{3}) ?$")
_MONEY_AFTER = re.compile(r",\d\d\b| ?(?:[$€£¥]|(?:EUR|USD|GBP|CHF|euros?|dollars?|pounds?)\b)")


def phones(text: str, regions: Sequence[str], whole: str = "") -> Iterator[Span]:
    """Telephone numbers. regions: countries whose numbers are known without a leading +; others are found when written
    with one. whole: all texts of the row; what is an order's in one of them is an order's in all.
    """
    import phonenumbers

    for region in regions or (None,):
        found: list[Any] = []
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE):
            joined = bool(found) and _JOINS.fullmatch(text, found[-1].end, match.start) is not None
            if _is_phone(text, match, region, joined=joined):
                found.append(match)
        for match in [*found, *_beside_others(text, region, [(match.start, match.end) for match in found])]:
            raw = match.raw_string
            if _is_an_orders(raw, text[: match.start], whole):
                continue
            start = match.start + (raw.startswith("(") and ")" not in raw)  # "(020 7946 0958)"
            yield Span(start, match.end, phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164))


_GROUPS = re.compile(r"(?<![\w-])\+?\(?\d+(?:[ )\u00a0\u202f-]{1,2}\(?\d+)+")
# A list of small numbers; an account's; a price.
_EVEN = re.compile(r"\d\d(?:[ -]\d\d){5,}|\d{4}(?:[ -]\d{4}){2,}(?:[ -]\d{1,3})?|[1-9]\d{0,2}(?: \d{3}){2,}")
_GROUP = re.compile(r"\+?\(?\d+")
_START = re.compile(r"\+|\(?0\d")
_ROW_BEFORE, _ROW_AFTER = re.compile(r"(?<!\w)(?:\d+[ \u00a0])+$"), re.compile(r"(?:[ \u00a0]\d+)+(?!\w)")


def _beside_others(text: str, region: str | None, taken: list[tuple[int, int]]) -> Iterator[Any]:
    """Numbers with only a blank between them and the next ("2 pcs 07700 900461 10-12 am"), which phonenumbers takes as
    one.
    """
    for run in _GROUPS.finditer(text):
        if any(run.start() < end and start < run.end() for start, end in taken) or _EVEN.fullmatch(run[0]):
            continue
        groups = [(run.start() + g.start(), run.start() + g.end()) for g in _GROUP.finditer(run[0])]
        i = 0
        while i < len(groups):
            match, count = (
                _starting_at(text, region, groups[i : i + 6]) if _START.match(text, groups[i][0]) else (None, 1)
            )
            if match is not None:
                yield match
            i += count


def _starting_at(text: str, region: str | None, groups: Sequence[tuple[int, int]]) -> tuple[Any, int]:
    """The number that the first of some groups begins, and of how many: one in use before a possible one, then the
    longest.
    """
    import phonenumbers

    possible: tuple[Any, int] = (None, 1)
    for count in range(len(groups), 0, -1):
        raw = text[groups[0][0] : groups[count - 1][1]]
        try:
            number = phonenumbers.parse(raw, region)
        except phonenumbers.NumberParseException:
            continue
        match = phonenumbers.PhoneNumberMatch(groups[0][0], raw, number)
        if _is_phone(text, match, region, beside=True):
            if phonenumbers.is_valid_number(number):
                return match, count
            possible = possible if possible[0] else (match, count)
    return possible


def _is_phone(text: str, found: Any, region: str | None, beside: bool = False, joined: bool = False) -> bool:
    """A possible number that is written as one; how sure its plan must be depends on how it is written.

    beside: it may have another number right before it. joined: "and", "or" or the like joins it to a number.
    """
    import phonenumbers
    from stdnum import ean

    raw, number, start = found.raw_string, found.number, found.start
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return False
    if re.fullmatch(r"\+? ?\d+", raw) and _ADDED.search(text, max(0, start - 3), start):
        return False
    if raw.lstrip("( ").startswith("+"):
        return True
    called = joined or _CALL.search(text, max(0, start - 40), start) is not None
    glued = _GLUED.search(text, max(0, start - 2), start) and not (beside and text[start - 1].isspace())
    if glued and not _CALLED_AT_ONCE.search(text, max(0, start - 10), start):
        return False
    if _is_something_else(text, start, found.end, raw) or (not called and _is_one_of_many(text, found)):
        return False
    valid = bool(phonenumbers.is_valid_number(number))
    if raw.lstrip("(").startswith("0"):
        # Numbers kept for fiction are in no plan, but as long as those that are. 00 leads to another country's plan.
        return valid or (not raw.startswith("00") and (called or _is_like_a_mobile(raw, number, region)))
    if called or not valid:
        return called and valid
    digits = re.sub(r"\D", "", raw)
    if digits == f"{number.country_code}{number.national_number}" and number.country_code > 9:
        return not (raw.isdigit() and ean.is_valid(digits))  # 44 20 7946 0958, without the +
    return not raw.isdigit() and _needs_no_zero(region) and _is_grouped(raw, number)


def _is_an_orders(raw: str, before: str, whole: str) -> bool:
    """Whether it is called an order's somewhere in the row; what is called a telephone's here is one."""
    if raw.startswith("+") or _CALL.search(before[-40:]):
        return False
    return any(called_an_order(whole, found.start()) for found in re.finditer(rf"(?<!\w){re.escape(raw)}(?!\w)", whole))


def _is_one_of_many(text: str, found: Any) -> bool:
    """Whether it is counted or measured, or its digits stand in a row of equally long numbers: a matrix."""
    if _COUNTED.search(text, max(0, found.start - 40), found.start) or _DECIMALS.fullmatch(found.raw_string):
        return True
    before = _ROW_BEFORE.search(text, max(0, found.start - 40), found.start)
    after = _ROW_AFTER.match(text, found.end)
    sizes, beside = _sizes(found.raw_string), _sizes(f"{before[0] if before else ''} {after[0] if after else ''}")
    even = len({*sizes, *beside}) == 1 and len([*sizes, *beside]) >= 3
    return even and (bool(beside) or sizes != _planned(found.number))


def _sizes(text: str) -> list[int]:
    return [len(group) for group in re.findall(r"\d+", text)]


def _planned(number: Any) -> list[int]:
    """How its country groups the digits."""
    import phonenumbers

    return _sizes(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))


def _is_grouped(raw: str, number: Any) -> bool:
    """Whether the digits are grouped as in that country, or nearly: a list of small numbers is not."""
    sizes = _sizes(raw)
    return sizes == _planned(number) or sizes[0] >= 3


def _is_something_else(text: str, start: int, end: int, raw: str) -> bool:
    from stdnum import isbn

    if _LOOSE_DATE.match(raw) or _OPENING_HOURS.fullmatch(raw) or called_an_order(text, start):
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


def _is_like_a_mobile(raw: str, number: Any, region: str | None) -> bool:
    """Whether it has as many digits as that country's mobiles, in one piece, or in a few that are not all as long."""
    if region is None or len(str(number.national_number)) != _mobile_digits(region):
        return False
    sizes = _sizes(raw)
    return len(sizes) == 1 or sizes == _planned(number) or (len(sizes) <= 4 and sizes[0] > 1 and len(set(sizes)) > 1)


@cache
def _needs_no_zero(region: str | None) -> bool:
    """Whether people of that country call each other without a 0 before the number."""
    import phonenumbers

    return region is not None and phonenumbers.ndd_prefix_for_region(region, True) != "0"
