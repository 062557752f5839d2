"""National identity, tax, insurance and health numbers, country by country, by python-stdnum's checksums.

One in ten or so of all nine-digit numbers is a valid Dutch BSN: a checksum alone would take order numbers for people.
So a number counts without its name only where shape and checksum together let through about one in 300 random numbers
of its shape (tests/tasks/personal_data/test_national_ids.py measures it); the others count when their name stands
shortly before them ("BSN: 111222333"). No rule asks for today's date: a row must come out the same tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from tasks.personal_data.spans import Span, alnum, called_an_order

# Characters, none a digit, between a number's name and it ("NHS no. (see my letter): 943 476 5919"), and of the name
# itself.
_NEAR, _LONGEST_NAME = 30, 25
_DAY, _MONTH = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])"


@dataclass(frozen=True)
class IdFormat:
    """Format of one country's number. shape: how it is written, in either case, for Polars and `re`.

    valid: a module of stdnum, or a function of the number as written.
    name: what it is called, without regard to case; "" where shape and checksum suffice.
    """

    shape: str
    valid: str | Callable[[str], bool]
    name: str = ""


def _luhn(number: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(alnum(number)))


def _nino(number: str) -> bool:
    return alnum(number)[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}  # never issued (HMRC, NIM39110)


def _belgian(number: str) -> bool:
    digits = alnum(number)
    # Born since 2000: a 2 first.
    return any(97 - int(century + digits[:9]) % 97 == int(digits[9:]) for century in ("", "2"))


def _norwegian(number: str) -> bool:
    from stdnum.no.fodselsnummer import calc_check_digit1, calc_check_digit2

    digits = alnum(number)
    return bool(calc_check_digit1(digits) == digits[9] and calc_check_digit2(digits) == digits[10])


def _chinese(number: str) -> bool:
    from stdnum.iso7064 import mod_11_2

    return bool(mod_11_2.is_valid(number))


def _any(_number: str) -> bool:
    return True


_NINE = r"\d{3}[ .-]?\d{3}[ .-]?\d{3}"
_ELEVEN = r"\d{11}"
ID_FORMATS: dict[str, tuple[IdFormat, ...]] = {
    "AT": (
        IdFormat(
            rf"\d{{4}} ?{_DAY}(?:0[1-9]|1[0-5])\d\d", "at.vnr", "svnr|sv-nr|sozialversicherung|versicherungsnummer"
        ),
    ),
    "AU": (IdFormat(r"\d{3} ?\d{3} ?\d{2,3}", "au.tfn", r"\btfn|tax file"),),
    "BE": (IdFormat(rf"\d\d[. ]?{_MONTH}[. ]?{_DAY}[-. ]?\d{{3}}[-. ]?\d\d", _belgian),),
    "BG": (IdFormat(r"\d{10}", "bg.egn", "egn|егн"),),
    "BR": (IdFormat(r"\d{3}\.\d{3}\.\d{3}-\d\d", "br.cpf"), IdFormat(_ELEVEN, "br.cpf", "cpf")),
    "CA": (IdFormat(_NINE, "ca.sin", r"\bsin\b|social insurance|\bnas\b|assurance sociale"),),
    "CH": (IdFormat(r"756\.?\d{4}\.?\d{4}\.?\d\d", "ch.ssn"),),
    "CL": (
        IdFormat(r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", "cl.rut"),
        IdFormat(r"\d{7,8}-[\dK]", "cl.rut", r"\brut\b|\brun\b"),
    ),
    "CN": (IdFormat(rf"[1-8]\d{{5}}(?:19|20)\d\d{_MONTH}{_DAY}\d{{3}}[\dX]", _chinese),),
    "CZ": (IdFormat(r"\d{6}/\d{4}", "cz.rc"), IdFormat(r"\d{6}/?\d{3,4}", "cz.rc", "rodn[eéě]")),
    "DE": (IdFormat(r"[1-9]\d{10}|[1-9]\d \d{3} \d{3} \d{3}", "de.idnr"),),
    "DK": (IdFormat(rf"{_DAY}{_MONTH}\d\d-?\d{{4}}", _any, "cpr|personnummer"),),
    "ES": (IdFormat(r"\d{8}[ -]?[A-Z]", "es.dni"), IdFormat(r"[XYZ][ -]?\d{7}[ -]?[A-Z]", "es.nie")),
    "FI": (IdFormat(rf"{_DAY}{_MONTH}\d\d[-+A-FU-Y]\d{{3}}[0-9A-FHJ-NPR-Y]", "fi.hetu"),),
    "FR": (IdFormat(rf"[12] ?\d\d ?{_MONTH} ?(?:\d\d|2[AB]) ?\d{{3}} ?\d{{3}} ?\d\d", "fr.nir"),),
    "GB": (
        # QQ stands for no one: it is the specimen of every guide.
        IdFormat(r"(?:QQ|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]) ?\d\d ?\d\d ?\d\d ?[A-D]", _nino),
        IdFormat(r"\d{3}[ -]?\d{3}[ -]?\d{4}", "gb.nhs", r"\bnhs\b"),
        IdFormat(r"\d{5} ?\d{5}", "gb.utr", r"\butr\b|taxpayer ref"),
    ),
    "GR": (IdFormat(_ELEVEN, "gr.amka", "amka|αμκα"),),
    "HR": (IdFormat(_ELEVEN, "hr.oib", r"\boib\b"),),
    "IE": (IdFormat(r"\d{7}[A-W][ABHWTX]?", "ie.pps"),),
    "IL": (IdFormat(r"\d{7,8}-?\d", "il.idnr", "teudat|zehut|תעודת|ת.ז"),),
    "IN": (
        IdFormat(r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", "in_.pan"),
        IdFormat(r"[2-9]\d{3} ?\d{4} ?\d{4}", "in_.aadhaar", "aadhaa?r|aadhar"),
    ),
    "IT": (
        IdFormat(
            r"[A-Z]{3} ?[A-Z]{3} ?[0-9L-NP-V]{2}[A-EHLMPRST][0-9L-NP-V]{2} ?[A-Z][0-9L-NP-V]{3} ?[A-Z]",
            "it.codicefiscale",
        ),
    ),
    "JP": (IdFormat(r"\d{4}[ -]?\d{4}[ -]?\d{4}", "jp.in_", "my number|マイナンバ|個人番"),),
    "MX": (IdFormat(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", "mx.curp"),),
    "NL": (IdFormat(rf"{_NINE}|\d{{4}}[ .]\d\d[ .]\d{{3}}|\d{{8}}", "nl.bsn", r"\bbsn\b|burgerservice|sofi"),),
    "NO": (IdFormat(rf"[0-7]\d{_MONTH}\d\d ?\d{{5}}", _norwegian),),
    "NZ": (IdFormat(r"\d{2,3}-?\d{3}-?\d{3}", "nz.ird", r"\bird\b"),),
    "PL": (IdFormat(_ELEVEN, "pl.pesel", "pesel"),),
    "PT": (IdFormat(_NINE, "pt.nif", r"\bnif\b|contribuinte"),),
    "RO": (IdFormat(rf"[1-8]\d\d{_MONTH}{_DAY}\d{{6}}", "ro.cnp"),),
    "SE": (IdFormat(rf"\d\d{_MONTH}{_DAY}[-+]\d{{4}}", _luhn, "personn|pnr|person-?id"),),
    "TR": (IdFormat(r"[1-9]\d{10}", "tr.tckimlik", r"\btckn?\b|t\.c\.|kimlik"),),
    "US": (
        IdFormat(r"\d{3}-\d\d-\d{4}", "us.ssn"),
        IdFormat(r"9\d\d-\d\d-\d{4}", "us.itin"),
        IdFormat(r"\d{9}|\d{3} \d\d \d{4}", "us.ssn", r"\bssn\b|social security"),
    ),
    "ZA": (IdFormat(rf"\d\d{_MONTH}{_DAY}\d{{4}}[01]\d\d", _luhn),),
}


def candidates(countries: Sequence[str]) -> str:
    """A pattern for Polars and `re` that is in every text where `ids` finds something; "" for no country."""
    rules = [rule for country in countries for rule in ID_FORMATS[country]]
    return "|".join(f"(?i:{rule.name or rule.shape})" for rule in rules)


def ids(text: str, countries: Sequence[str]) -> Iterator[Span]:
    """National numbers in a text without dates. The value is its letters and digits, whatever country's it is."""
    for rule in (rule for country in countries for rule in ID_FORMATS[country]):
        pattern, name = _compiled(rule)
        for found in pattern.finditer(text):
            before = text[max(0, found.start() - _NEAR - _LONGEST_NAME) : found.start()]
            sure = name.search(before) if name else not called_an_order(text, found.start())
            if sure and _valid(rule, found[0]):
                yield Span(found.start(), found.end(), alnum(found[0]))


def _valid(rule: IdFormat, number: str) -> bool:
    if callable(rule.valid):
        return rule.valid(number)
    module = import_module(f"stdnum.{rule.valid}")
    return bool(module.is_valid(number) or module.is_valid(alnum(number)))


@cache
def _compiled(rule: IdFormat) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    name = re.compile(rf"(?i)(?:{rule.name})[^\n\d]{{0,{_NEAR}}}$") if rule.name else None
    return re.compile(rf"(?i)(?<![\w-])(?:{rule.shape})(?![\w-]|\.\d)"), name
