"""National ids: each country's are found, wrong checksums are not, and an order number is hardly ever one."""

from __future__ import annotations

import inspect
import random
import re
from importlib import import_module

import pytest

from tasks.personal_data.finders import PersonalData
from tasks.personal_data.national_ids import ID_FORMATS, candidates, ids

# From the documentation of python-stdnum and of the issuers: valid by their checksums, nobody's.
EXAMPLES = {
    "AT": ["SVNR 1237 010180"],
    "AU": ["TFN: 123 456 782"],
    "BE": ["85.07.30-033.28"],
    "BG": ["ЕГН 7523169263"],
    "BR": ["390.533.447-05", "CPF 39053344705"],
    "CA": ["SIN 123-456-782"],
    "CH": ["756.9217.0769.85"],
    "CL": ["12.531.909-2"],
    "CN": ["360426199101010071"],
    "CZ": ["710319/2745"],
    "DE": ["36 574 261 809", "36574261809"],
    "DK": ["CPR 211062-5629"],
    "ES": ["54362315-K", "54362315k", "X-2482300W"],
    "FI": ["131052-308T"],
    "FR": ["2 95 10 99 126 111 93", "295109912611193"],
    "GB": ["AB 12 34 56 C", "qq123456c", "NHS number: 943 476 5870"],
    "GR": ["AMKA 01013099997"],
    "HR": ["OIB 33392005961"],
    "IE": ["6433435F"],
    "IL": ["teudat zehut 3933742-3"],
    "IN": ["ACUPA7085R", "Aadhaar 2341 2341 2346"],
    "IT": ["RCCMNL83S18D969H", "RCC MNL 83S18 D969H"],
    "JP": ["my number: 6214 9832 0257"],
    "MX": ["BOXW310820HNERXN09"],
    "NL": ["BSN: 111222333", "bsn 1112.22.333"],
    "NO": ["151086 95088"],
    "NZ": ["IRD 49-091-850"],
    "PL": ["PESEL 44051401359"],
    "PT": ["NIF 501 964 843"],
    "RO": ["1630615123457"],
    "SE": ["personnummer 880320-0016"],
    "TR": ["T.C. kimlik 17291716060"],
    "US": ["536-90-4399", "912-90-3456", "SSN 536904399"],
    "ZA": ["7503305044089"],
}


def found(text: str, *countries: str) -> list[str]:
    return [text[span.start : span.end] for span in ids(text, countries)]


@pytest.mark.parametrize(
    ("country", "example"), [(c, example) for c, examples in EXAMPLES.items() for example in examples]
)
def test_a_number_is_found_in_its_country(country: str, example: str) -> None:
    text = f"It is {example}, thank you."
    (number,) = found(text, country)[:1]
    assert example.endswith(number)
    assert len(re.sub(r"\W", "", number)) >= 8  # the whole number, not a tail of it
    assert re.search(candidates((country,)), text)


def test_every_country_has_an_example() -> None:
    assert set(EXAMPLES) == set(ID_FORMATS)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("36574261808", "DE"),
        ("54362315A", "ES"),
        ("295109912611194", "FR"),
        ("GB123456A", "GB"),
        ("NHS: 943 476 5871", "GB"),
        ("RCCMNL83S18D969A", "IT"),
        ("BSN: 111222334", "NL"),
        ("666-90-4399", "US"),
        ("000-12-3456", "US"),
    ],
)
def test_a_number_that_cannot_be_stays(text: str, country: str) -> None:
    assert not found(text, country)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("111222333", "NL"),
        ("order 111222333", "NL"),
        ("943 476 5870", "GB"),
        ("536904399", "US"),
        ("501964843", "PT"),
        ("44051401359", "PL"),
        ("123-456-782", "CA"),
    ],
)
def test_a_checksum_that_many_numbers_pass_needs_the_numbers_name(text: str, country: str) -> None:
    assert not found(f"It is {text}.", country)


@pytest.mark.parametrize("country", ID_FORMATS)
def test_hardly_any_random_number_is_taken_for_a_persons(country: str) -> None:
    """Of order numbers, 6 to 18 digits long, no more than 1 in 300 of any length; a wider margin allows for chance."""
    draw = random.Random(7)
    for digits in range(6, 19):
        numbers = ["".join(draw.choices("0123456789", k=digits)) for _ in range(1500)]
        taken = sum(len(found(f"ticket opened for {number}", country)) for number in numbers)
        assert taken <= 12, (digits, taken)


def test_what_is_called_an_order_is_one() -> None:
    assert found("36574261809", "DE")
    assert not found("Bestellnummer: 36574261809", "DE")
    assert not found("order no. 36574261809", "DE")


def test_part_of_a_longer_number_is_none() -> None:
    for text in ("HP-36574261809", "36574261809-1", "A36574261809", "1.36574261809.2"):
        assert not found(text, *PersonalData().id_countries)


def test_no_rule_asks_for_todays_date() -> None:
    for rule in (rule for rules in ID_FORMATS.values() for rule in rules):
        if isinstance(rule.valid, str):
            assert "today(" not in inspect.getsource(import_module(f"stdnum.{rule.valid}")), rule.valid
