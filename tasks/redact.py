"""Redact: e-mail addresses, telephone, card and bank account numbers become placeholders such as <EMAIL_1>.

Placeholders are numbered inside a conversation, and the same value has the same placeholder throughout it, so that
who is meant stays clear. Meta is redacted with the messages. The originals are written nowhere: the ledger has counts
by kind only. Polars finds the rows that could hold one; a number counts only when its checksum or numbering plan says
so, which is why an order number such as HP-48213 stays.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import polars as pl
from pydantic import field_validator

from tasks.core.ledger import Outcome, changed, entries
from tasks.core.settings import Settings

Kind = Literal["email", "iban", "card", "phone"]
Span = tuple[int, int, str]  # start, end, and the value in the form by which two spellings are the same
# In this order: an address may hold a number, an IBAN a card's digits, a card a telephone's.
KINDS: tuple[Kind, ...] = ("email", "iban", "card", "phone")


class RedactSettings(Settings):
    """What counts as personal data."""

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


def redact(rows: pl.DataFrame, settings: RedactSettings) -> Outcome:
    """kept: every row, redacted. Nothing is dropped."""
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n", ignore_nulls=True)
    suspects = rows.filter(_suspect(contents) | _suspect(pl.col("meta")))
    new: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for row in suspects.iter_rows(named=True):
        conversation = _Conversation(row, settings)
        messages = [{"role": m["role"], "content": conversation.redact(m["content"] or "")} for m in row["messages"]]
        meta = json.dumps(conversation.redact_json(json.loads(row["meta"])), ensure_ascii=False, sort_keys=True)
        if conversation.counts:
            new.append({**row, "messages": messages, "meta": meta})
            told.append(changed(row, new[-1], "personal data replaced", **conversation.counts))
    replaced = pl.DataFrame(new, schema=rows.schema)
    untouched = rows.join(replaced.select("row_id"), on="row_id", how="anti")
    return Outcome(pl.concat([untouched, replaced]).sort("row_id"), entries("redact", told))


def _suspect(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(DATE, "").str.contains(CANDIDATE)


class _Conversation:
    """The placeholders of one row, numbered above any that are in its text already: two values never share one."""

    def __init__(self, row: dict[str, Any], settings: RedactSettings) -> None:
        self._settings = settings
        self._names: dict[tuple[Kind, str], str] = {}
        whole = "\n".join(m["content"] or "" for m in row["messages"]) + row["meta"]
        self._last = {
            kind: max(map(int, re.findall(rf"<{kind.upper()}_(\d{{1,6}})>", whole)), default=0) for kind in KINDS
        }
        self.counts: Counter[str] = Counter()

    def redact(self, text: str) -> str:
        """Kind by kind, each until none is found: two numbers with a blank between them are found one after the other."""
        for kind in KINDS:
            while kind in self._settings.kinds and (spans := _apart(FINDERS[kind](text, self._settings))):
                names = [self._name(kind, value) for _, _, value in spans]
                for (start, end, _), name in zip(reversed(spans), reversed(names), strict=True):
                    text = text[:start] + name + text[end:]
        return text

    def redact_json(self, value: Any) -> Any:
        """Every text and number inside a JSON value; a number that is redacted becomes a text."""
        if isinstance(value, dict):
            return {key: self.redact_json(v) for key, v in value.items()}
        if isinstance(value, list):
            return [self.redact_json(v) for v in value]
        if isinstance(value, bool) or not isinstance(value, str | int):
            return value
        redacted = self.redact(str(value))
        return value if redacted == str(value) else redacted

    def _name(self, kind: Kind, value: str) -> str:
        self.counts[kind] += 1
        if (kind, value) not in self._names:
            self._last[kind] += 1
            self._names[kind, value] = f"<{kind.upper()}_{self._last[kind]}>"
        return self._names[kind, value]


def _apart(spans: Iterator[Span]) -> list[Span]:
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


def _emails(text: str, _: RedactSettings) -> Iterator[Span]:
    for found in _EMAIL.finditer(text) if "@" in text else ():
        yield found.start(), found.end(), found[0].casefold()


def _ibans(text: str, _: RedactSettings) -> Iterator[Span]:
    """The match may run into the next word, so the country's length says where the number ends."""
    for found in _IBAN.finditer(text):
        places = [found.start() + i for i, letter in enumerate(found[1]) if letter.isalnum()]
        length = _IBAN_LENGTHS.get(found[1][:2].upper(), 0)
        value = "".join(text[place] for place in places[:length]).upper()
        if len(value) == length > 0 and _mod97(value) == 1:
            yield found.start(), places[length - 1] + 1, value


def _mod97(iban: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97


def _cards(text: str, _: RedactSettings) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if _ISSUED.fullmatch(digits) and _luhn(digits):
            yield found.start(), found.end(), digits


def _luhn(digits: str) -> bool:
    doubled = (int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits)))
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _phones(text: str, settings: RedactSettings) -> Iterator[Span]:
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


FINDERS: dict[Kind, Callable[[str, RedactSettings], Iterator[Span]]] = {
    "email": _emails, "iban": _ibans, "card": _cards, "phone": _phones,
}  # fmt: skip
