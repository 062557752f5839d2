"""What counts as personal data in a text, and where it stands: the finders that redact replaces by and contracts count by.

    kinds_in(rows)                # for each row "email, phone", in the order of KINDS, or null: what a contract counts
    kinds_in(rows, recipe.redact) # the same with the recipe's own kinds, countries and names
    suspect(text)                 # a Polars expression: could this text hold any? Cheap, and never false where `find` finds

Only what a checksum, a numbering plan or an issuer's format confirms is found: an order number such as HP-48213 is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import polars as pl
from pydantic import field_validator

from tasks.core.settings import Settings

Kind = Literal["email", "iban", "card", "phone"]
Span = tuple[int, int, str]  # start, end, and the value in the form by which two spellings are the same
# In this order: an address may hold a number, an IBAN a card's digits, a card a telephone's.
KINDS: tuple[Kind, ...] = ("email", "iban", "card", "phone")


class PersonalData(Settings):
    """What counts as personal data: the part of redact's settings that a contract which counts what is left must share."""

    kinds: tuple[Kind, ...] = KINDS
    # Countries whose numbers are known without a leading +, as ISO codes; others are found when written with one.
    phone_regions: tuple[str, ...] = ("GB",)

    @field_validator("phone_regions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        import phonenumbers

        if unknown := sorted(set(value) - phonenumbers.SUPPORTED_REGIONS):
            raise ValueError(f"not a country: {', '.join(unknown)}; allowed: ISO codes such as GB, DE, NL, US")
        return value


# An @, seven digits with up to three separators between two, or the start of an IBAN: a text without any of them holds no
# personal data of these kinds. Dates are taken out first, because exports are full of them.
DATE = r"\b(?:(?:19|20)\d\d-\d\d-\d\d|\d{1,2}[/.-]\d{1,2}[/.-](?:19|20)\d\d)"
CANDIDATE = r"@|\d(?:[ ().\-/\x{2010}-\x{2015}]{0,3}\d){6}|[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}"


def suspect(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(DATE, "").str.contains(CANDIDATE)


def texts(rows: pl.DataFrame) -> pl.Series:
    """All that a row says, messages and `rejected`, as one text."""
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n", ignore_nulls=True)
    return rows.select(pl.concat_str(contents, "rejected", separator="\n", ignore_nulls=True).alias("text"))["text"]


def kinds_in(rows: pl.DataFrame, settings: PersonalData | None = None) -> pl.Series:
    """For each of `rows` (ROW_SCHEMA), in their order: the kinds found in what it says, "email, phone", or null."""
    chosen = settings or PersonalData()
    said = texts(rows)
    found = said.to_frame().select(pl.when(suspect(pl.col("text"))).then("text"))["text"]
    return found.map_elements(lambda text: ", ".join(_kinds(text, chosen)) or None, return_dtype=pl.String).alias("kinds")


def _kinds(text: str, settings: PersonalData) -> list[Kind]:
    return [kind for kind in KINDS if kind in settings.kinds and next(FINDERS[kind](text, settings), None)]


def apart(spans: Iterator[Span]) -> list[Span]:
    """Spans in order; of two that overlap the one that starts earlier, then the longer, then the one found first."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not chosen or span[0] >= chosen[-1][1]:
            chosen.append(span)
    return chosen


# ---------------------------------------------------------------- finders

# Lengths from RFC 5321; they also keep the time linear in the text.
_EMAIL = re.compile(r"(?<!\w)\w[\w.+%'-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b")
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
# Number ranges (ISO 7812) of Visa, Mastercard, American Express, Diners, Discover, JCB and UnionPay.
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}"
    r"|35\d{14}|62\d{14,17}"
)
_IBAN = re.compile(r"(?<!\w)(?=([A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}))")  # the next may start inside a match
# Length by country, from the SWIFT IBAN registry.
_IBAN_TABLE = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
    "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
_IBAN_LENGTHS = {pair[:2]: int(pair[2:]) for pair in _IBAN_TABLE.split()}
_ORDER = re.compile(r"\w-?$|#$")  # before the tail of an order number: HP-0791112345
_DIGIT = re.compile(r"\d\W$")  # before the tail of a longer number
_DATE = re.compile(
    r"\d{1,2}[-. ]\d{1,2}[-. ](?:19|20)\d\d\b|(?:19|20)\d\d[-. ]\d{1,2}[-. ]\d{1,2}\b|\d\d?[-. ]\d\d?[-. ]\d\d(?: \d\d)?$"
)


def _emails(text: str, _: PersonalData) -> Iterator[Span]:
    for found in _EMAIL.finditer(text) if "@" in text else ():
        yield found.start(), found.end(), found[0].casefold()


def _ibans(text: str, _: PersonalData) -> Iterator[Span]:
    """The match may run into the next word, so the country's length says where the number ends."""
    for found in _IBAN.finditer(text):
        places = [found.start() + i for i, letter in enumerate(found[1]) if letter.isalnum()]
        length = _IBAN_LENGTHS.get(found[1][:2].upper(), 0)
        value = "".join(text[place] for place in places[:length]).upper()
        if len(value) == length > 0 and _mod97(value) == 1:
            yield found.start(), places[length - 1] + 1, value


def _mod97(iban: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97


def _cards(text: str, _: PersonalData) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if _ISSUED.fullmatch(digits) and _luhn(digits):
            yield found.start(), found.end(), digits


def _luhn(digits: str) -> bool:
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _phones(text: str, settings: PersonalData) -> Iterator[Span]:
    import phonenumbers

    for region in settings.phone_regions or (None,):
        for found in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE):
            if _is_phone(text, found):
                value = phonenumbers.format_number(found.number, phonenumbers.PhoneNumberFormat.E164)
                yield found.start, found.end, value


def _is_phone(text: str, found: Any) -> bool:
    """A possible number written as one: with + or 0 first, in use or not, or else grouped and in use."""
    import phonenumbers

    raw, before = found.raw_string, text[max(0, found.start - 2) : found.start]
    if _ORDER.search(before) or _DATE.match(raw):
        return False
    if phonenumbers.is_possible_number_with_reason(found.number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return False
    if raw.lstrip("(").startswith(("+", "0")):
        return True
    return not raw.isdigit() and not _DIGIT.search(before) and phonenumbers.is_valid_number(found.number)


FINDERS: dict[Kind, Callable[[str, PersonalData], Iterator[Span]]] = {
    "email": _emails, "iban": _ibans, "card": _cards, "phone": _phones,
}  # fmt: skip
