"""Spans of a text: what finders of personal data give back, what stands before one, and what is never a number of a
person.

Patterns that Polars and `re` both read have no look-around and say digits, letters and separators the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

# Blanks (no-break and narrow too), full stop, hyphen and dashes: what people put between the digits of one number.
SEPARATOR = r"[ \u00a0\u202f.\-\u2010-\u2015]"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
# Exports are full of dates: without them few rows have seven digits in sequence.
DATE = (
    r"\b(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[/.-](?:0?[1-9]|[12]\d|3[01])[/.-](?:19|20)\d\d)(?:\b|T)"
)
# With blanks or colons between its parts, and a time behind: 2024 01 15 12 30 45.
_LOGGED = (
    r"\b(?:19|20)\d\d([ :_.-])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])[ T:_.-](?:[01]\d|2[0-3])[ :_.-]?[0-5]\d"
    r"(?:[ :_.-]?[0-5]\d(?:[.,]\d+)?)?\b"
)
_UUID = r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
_NO_NUMBER = re.compile(rf"{_LOGGED}|{_UUID}|{DATE}|(?<![\w.]){IPV4}(?![\w]|\.\d)")
_ESCAPE = r"\\[nrt]"  # a line break or tab written out, in text that is JSON or code
BLANK = "|"  # in no number, word or address
_WRITTEN_OUT = re.compile(rf"{_ESCAPE}|\\u(?P<letter>[0-9a-fA-F]{{4}})")
# What Polars takes out before it looks for candidates: a part of what the finders do not see, so it never misses a row.
UNSEEN = rf"{DATE}|{_ESCAPE}"
UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Thai, Lao, Japanese, Chinese, Korean
_BESIDE = re.compile(rf"(?<=[A-Za-z0-9)])[{UNSPACED}]|[{UNSPACED}](?=[A-Za-z0-9+(])")
# What an order number is called, right before it.
_STRONG = (
    "orders?|invoices?|ref|references?|tickets?|tracking|parcels?|shipments?|consignments?|cases?|serials?|sku|isbn|issn|ean|upc"
    "|gtin|imei|parts?|models?|articles?|products?|batch|po|rma|bookings?|transactions?|txn|version|build|timestamp|epoch"
    r"|(?:bestell|auftrags|rechnungs|artikel|sendungs)\w*|bestellung|auftrag|rechnung|commande|facture|pedido|factura|ordine"
    "|fattura|bestelling|factuur"
)
_WEAK = "customers?|clients?|accounts?|acct|users?|members?|policy|items?|meter|contract"
_NUMBER = r"(?:no|nr|num|numbers?|id|code|n[°º]|ref)"
_ORDER = re.compile(
    rf"(?i)(?:^|[\W_])(?:(?:{_STRONG})(?:[\W_]{{1,3}}{_NUMBER})?|(?:{_WEAK})[\W_]{{1,3}}{_NUMBER})"
    r"(?:[\W_]{1,3}(?:is|was|of|ist|est|es|è))?[\W_]{0,3}$"
)


class Span(NamedTuple):
    """Characters start to end of a text; value: the form in which two spellings are the same."""

    start: int
    end: int
    value: str


def decoded(text: str) -> tuple[str, Sequence[int]]:
    r"""`text` with what JSON and code write out decoded, and the place in `text` of each character and of the end.

    \u00fc becomes the letter; \n, \r and \t are blanked, so that the word behind them starts there.
    """
    if "\\" not in text:
        return text, range(len(text) + 1)
    parts: list[str] = []
    places: list[int] = []
    end = 0
    for escape in _WRITTEN_OUT.finditer(text):
        letter = BLANK if escape["letter"] is None else chr(int(escape["letter"], 16))
        parts += [text[end : escape.start()], letter]
        places += range(end, escape.start() + 1)
        end = escape.end()
    return "".join([*parts, text[end:]]), [*places, *range(end, len(text) + 1)]


def spaced(text: str) -> str:
    """`text`, as long as before, with the letter beside a number or word blanked in scripts that
    put no blanks there.
    """
    return text if text.isascii() else _BESIDE.sub(BLANK, text)


def without_dates(text: str) -> str:
    """`text`, as long as before, with its dates, UUIDs and IPv4 addresses blanked: no number of a person is in them."""
    return _NO_NUMBER.sub(lambda found: BLANK * len(found[0]), text)


def called_an_order(text: str, start: int) -> bool:
    """Whether the words right before `start` say that an order, a parcel, a part or the like is numbered there."""
    return _ORDER.search(text, max(0, start - 40), start) is not None


def alnum(text: str) -> str:
    """The letters and digits of `text`, in upper case."""
    return "".join(filter(str.isalnum, text)).upper()


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """Spans in order; of two that overlap the one that starts earlier, then the longer, then the one found first."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not chosen or span.start >= chosen[-1].end:
            chosen.append(span)
    return chosen
