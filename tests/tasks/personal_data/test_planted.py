"""Personal data planted among what a help desk is full of: what is nobody's stays, and precision and recall of each
kind.

`like("07700 900###")` draws a digit for each # and one that is not 0 for each %.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Callable

import pytest
from stdnum import ean, luhn
from stdnum.iso7064 import mod_97_10

from tasks.core.personal_kinds import KINDS
from tasks.personal_data.finders import PersonalData, find_personal_data

DEFAULT = PersonalData()


class Draw(random.Random):
    """Random texts; the same for the same seed."""

    def like(self, *shapes: str) -> str:
        drawn = re.sub("%", lambda _: self.choice("123456789"), self.choice(shapes))
        return re.sub("#", lambda _: self.choice(string.digits), drawn)

    def text(self, characters: str, *lengths: int) -> str:
        return "".join(self.choices(characters, k=self.choice(lengths)))

    def day(self, shape: str) -> str:
        year, month, day, hour = self.randint(1950, 2030), self.randint(1, 12), self.randint(1, 28), self.randint(0, 23)
        return shape.format(year=year, month=month, day=day, hour=hour)


HEX = "0123456789abcdef"
Drawn = Callable[[Draw], str]
NOBODYS: dict[str, Drawn] = {
    "order number": lambda r: r.like(
        "HP-%####", "ORD-%#########", "order %######", "order no. %###########", "R%######"
    ),
    "bare order number": lambda r: r.like("%#####", "%######", "%#######", "%########", "%#########", "%###########"),
    "ISO date": lambda r: r.day("{year}-{month:02}-{day:02} {hour:02}:45"),
    "date": lambda r: r.day(
        r.choice(["{day:02}/{month:02}/{year} {hour}:30", "{day}.{month}.{year}", "{day}-{month}-{year}"])
    ),
    "time stamp": lambda r: r.day("{year}-{month:02}-{day:02}T{hour:02}:32:11.1234567Z"),
    "seconds since 1970": lambda r: r.like("17########", "17###########"),
    "price": lambda r: r.like("£%,###,###.##", "$%##,###.##", "EUR %##,###,###.##", "%,###,###.##", "%##.## or %##.##"),
    "German price": lambda r: r.like("%##.###.###,## €", "%.###.###,## EUR", "EUR %.###.###"),
    "French price": lambda r: r.like("%## ### ###,## EUR", "%## ### ### €"),
    "ISBN-13": lambda r: re.sub(r"(...)(.)(...)(.....)(.)", r"\1-\2-\3-\4-\5", barcode(r.like("978#########"))),
    "ISBN-10": lambda r: r.choice(["0-306-40615-2", "0-19-852663-6", "3-16-148410-0", "0-8044-2957-X"]),
    "barcode": lambda r: barcode(r.like("4###########", "5###########", "9###########")),
    "tracking number": lambda r: r.like("1Z999AA1##########", "RR#########GB", "9400 1### #### #### #### ##"),
    "version": lambda r: r.choice(["v", "version ", "release "]) + ".".join(str(r.randint(0, 99)) for _ in range(4)),
    "coordinates": lambda r: f"{r.uniform(-90, 90):.6f}, {r.uniform(-180, 180):.{r.randint(4, 14)}f}",
    "float": lambda r: repr(r.random()),
    "UUID": lambda r: "-".join(r.text(r.choice([HEX, string.digits]), n) for n in (8, 4, 4, 4, 12)),
    "digest": lambda r: r.text(HEX, 7, 12, 32, 40, 64),
    "numbers": lambda r: " ".join(str(r.randint(1, 49)) for _ in range(r.randint(5, 9))),
    "sizes": lambda r: r.like("%## x %## x %# cm, %.# kg", "%#x%#x%# mm"),
    "part number": lambda r: r.like("A####-###/##", "E%### %##", "BX-######-#", "ZZ######"),
    "link": lambda r: r.like("https://example.com/p/%########?s=") + r.text(string.ascii_letters + string.digits, 16),
    "sum": lambda r: r.like("%######## + %########### = %###########", "%####### * %##### = %###########"),
    "opening hours": lambda _: "Mon-Fri 08:00-18:30, Sat 9-13, 24/7 online, 2024-2026",
}


def barcode(digits: str) -> str:
    return digits + str(ean.calc_check_digit(digits))


@pytest.mark.parametrize("what", NOBODYS)
def test_what_is_nobodys_stays(what: str) -> None:
    draw = Draw(11)
    texts = [f"About {NOBODYS[what](draw)}: is that right?" for _ in range(400)]
    wrong = [text for text in texts if find_personal_data(text, DEFAULT)]
    assert len(wrong) <= 1, wrong[:9]  # a checksum lets one in a few thousand through


@pytest.mark.parametrize("region", ["US", "DE", "FR", "NL", "ES", "IT", "DK"])
def test_what_is_nobodys_stays_where_other_countries_call(region: str) -> None:
    draw, chosen = Draw(12), PersonalData(kinds=("phone",), phone_regions=(region,))
    texts = [f"About {drawn(draw)}: is that right?" for drawn in NOBODYS.values() for _ in range(40)]
    wrong = [text for text in texts if find_personal_data(text, chosen)]
    assert len(wrong) <= 2, wrong


# ---------------------------------------------------------------- planted


def card(r: Draw) -> str:
    """Sixteen digits, or fifteen of American Express, with their check digit, grouped as on the card or not."""
    digits = r.like(
        "4##############", "51#############", "2221###########", "6011###########", "3528###########", "37############"
    )
    digits += str(luhn.calc_check_digit(digits))
    groups = r"(....)(......)(.....)" if len(digits) == 15 else r"(....)(....)(....)(....)"
    return r.choice(["", " ", "-"]).join(re.match(groups, digits).groups())  # type: ignore[union-attr]


def iban(r: Draw) -> str:
    bank = r.like("DE##################", "GBWEST##############", "NLABNA##########", "FR#######################")
    number = bank[:2] + mod_97_10.calc_check_digits(bank[2:] + bank[:2]) + bank[2:]
    return number if r.random() < 0.5 else re.sub(r"(....)(?=.)", r"\1 ", number)


IDS = (
    "AB %# ## ## C",
    "QQ######A",
    "536-9#-%###",
    "36 574 261 809",
    "36574261809",
    "2 95 10 99 126 111 93",
    "54362315K",
    "X2482300W",
    "RCCMNL83S18D969H",
    "NHS 943 476 5870",
    "BSN 111222333",
)
PHONES = (
    "07700 900###",
    "+44 20 7946 0###",
    "(0161) 496 0###",
    "+49 30 901#####",
    "0161496####",
    "07700900###",
    "00353 1 679 9###",
)
PLANTED: dict[str, Drawn] = {
    "email": lambda r: (
        r.text("abcdefgh", 2, 6, 9) + r.like("@", ".x@", "_1@", "+a##@") + r.like("example.com", "x.co.uk")
    ),
    "card": card,
    "iban": iban,
    "id": lambda r: r.like(*IDS),
    "ip": lambda r: r.like(
        "84.2#.1##.%#", "151.101.%.1##", "203.0.113.%#", "2a02:%##::%##", "2001:db8:%#:0:0:8a2e:370:%###"
    ),
    "phone": lambda r: r.like(*PHONES),
    "secret": lambda r: r.choice(
        [
            "AKIA" + r.text("ABCDEFGHIJKLMNOP234567", 16),
            "gh" + "p_" + r.text(string.ascii_letters, 36),
            "sk_" + "live_" + r.text(HEX, 24),
        ]
    ),
}
SENTENCES = [
    "Hi, it is {} by the way.",
    "{}",
    "Please change it to {}, thanks!",
    "Mine:\n- {}\n- no more",
    "({})",
    'the old "{}" is',
]


def test_precision_and_recall_on_planted_truth() -> None:
    """Half the texts hold one thing beside two that are nobody's; a find is right when it covers exactly that."""
    draw, right, wrong, missed = Draw(23), Counter[str](), Counter[str](), Counter[str]()
    for _ in range(4000):
        kind = draw.choice(list(PLANTED)) if draw.random() < 0.5 else ""
        planted = PLANTED[kind](draw) if kind else "nothing"
        first, second = (NOBODYS[what](draw) for what in draw.choices(list(NOBODYS), k=2))
        text = f"{draw.choice(SENTENCES).format(planted)} About {first}; and {second}?"
        found = {(found, text[span.start : span.end]) for found, span in find_personal_data(text, DEFAULT)}
        truth = {(kind, re.sub("^(NHS|BSN) ", "", planted))} if kind else set()
        for counted, things in ((right, found & truth), (wrong, found - truth), (missed, truth - found)):
            counted.update(kind for kind, _ in things)
    print({kind: (right[kind], wrong[kind], missed[kind]) for kind in KINDS})
    for kind in PLANTED:
        assert right[kind] >= 200
        assert right[kind] / (right[kind] + wrong[kind]) >= 0.98, (kind, wrong)
        assert right[kind] / (right[kind] + missed[kind]) >= 0.98, (kind, missed)
    assert not wrong["name"]
