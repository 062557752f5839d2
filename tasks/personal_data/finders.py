"""Finders of personal data in a text, and where it stands: redact replaces by them, contracts count by them.

    kinds_in(rows)                  # for each row "email, phone", in the order of KINDS, or null: for contracts
    kinds_in(rows, recipe.redact)   # the same with the recipe's own kinds, countries and names
    suspect(text, settings)         # a Polars expression: could this text hold any? Never false where there is some
    find_personal_data(text, settings)     # [(kind, span)] of one text, in order

Only what a checksum, a numbering plan, an issuer's format or the recipe confirms is found: an order number such as
HP-48213 is none. Polars reads every text once for candidates; checksums and plans are asked about candidates only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import polars as pl
from pydantic import field_validator

from tasks.core.personal_kinds import KINDS, Kind
from tasks.core.row import any_calls, rewritten_call
from tasks.core.settings import Settings
from tasks.personal_data.contact_details import EMAIL, IP, addresses, emails, first_words, listed_names
from tasks.personal_data.credentials import SECRET, secrets
from tasks.personal_data.national_ids import ID_FORMATS, candidates, ids
from tasks.personal_data.payment_numbers import CARD, IBAN, cards, ibans
from tasks.personal_data.phones import PHONE, phones
from tasks.personal_data.spans import UNSEEN, Span, decoded, spaced, without_dates, without_overlaps

_SIX_DIGITS = re.compile(r"\d(?:\D*\d){5}")  # no number of a person has fewer


class PersonalData(Settings):
    """What counts as personal data: shared by redact and by the contract that counts what is left."""

    # All: each is confirmed by more than how it looks.
    kinds: tuple[Kind, ...] = KINDS
    # Countries whose numbers are known without a leading +, as ISO codes; others are found when written with one.
    phone_regions: tuple[str, ...] = ("GB",)
    # Countries whose national ids are looked for, as ISO codes. A rule takes up to one random number in 300 for a
    # person's (tests/tasks/personal_data/test_national_ids.py), and each more country adds to that; so a few large
    # ones, and more where asked.
    id_countries: tuple[str, ...] = ("DE", "ES", "FR", "GB", "IT", "NL", "US")
    # public: as datatrove's PIIFormatter has it by default, since 192.168.1.1 is every router's. all: private networks'
    # too.
    ip_addresses: Literal["public", "all"] = "public"
    # People's names, found as whole words whatever their case; none by default, since no list is right for all. A first
    # name that is also a word (Will, May) belongs here only with the family name.
    names: tuple[str, ...] = ()

    @field_validator("phone_regions")
    @classmethod
    def _callable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        import phonenumbers

        return _known(value, phonenumbers.SUPPORTED_REGIONS, "ISO codes such as GB, DE, NL, US")

    @field_validator("id_countries")
    @classmethod
    def _counted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _known(value, ID_FORMATS, ", ".join(ID_FORMATS))

    @field_validator("names")
    @classmethod
    def _words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in value if sum(map(str.isalpha, name)) < 2]:
            raise ValueError(f"no name: {', '.join(map(repr, wrong))}; allowed: names of two letters or more")
        return value


def _known(codes: tuple[str, ...], known: Iterable[str], allowed: str) -> tuple[str, ...]:
    if unknown := sorted(set(codes) - set(known)):
        raise ValueError(f"not a country: {', '.join(unknown)}; allowed: {allowed}")
    return codes


# ---------------------------------------------------------------- in one text


def find_personal_data(text: str, settings: PersonalData, before: str = "", whole: str = "") -> list[tuple[Kind, Span]]:
    """What stands in `text`, in order, no two overlapping; of two kinds in one place the one that KINDS names first.

    before: what the text is called where it comes from ("phone: "), which says what a bare number is; nothing is found
    in it. whole: all texts of the row (`texts_of`): what one of them calls a version or an order is none of a person in
    the others.
    """
    read, places = decoded(before + text)
    words = spaced(read)
    dateless = without_dates(words) if _SIX_DIGITS.search(read) else ""
    found: list[tuple[Kind, Span]] = []
    for kind, candidate in _patterns(settings).items():
        seen = dateless if FINDERS[kind].is_number else read if kind == "name" else words
        # A secret's candidates take longer to look for than what they are candidates of.
        if not seen or (candidate is not None and kind != "secret" and not candidate.search(seen)):
            continue
        new = (span for span in FINDERS[kind].find(seen, settings, whole) if places[span.start] >= len(before))
        free = (s for s in new if all(s.end <= other.start or s.start >= other.end for _, other in found))
        found += [(kind, span) for span in without_overlaps(free)]
    there = [(kind, Span(places[s.start] - len(before), places[s.end] - len(before), s.value)) for kind, s in found]
    return sorted(there, key=lambda one: one[1])


def replaced(
    text: str, settings: PersonalData, name: Callable[[Kind, str], str], before: str = "", whole: str = ""
) -> str:
    """`text` with `name(kind, value)` for each thing found, until none is: what one hid beside it is found once it is
    gone.

    What `name` gives must not be found itself, as "<EMAIL_1>" and "[email]" are not.
    """
    while found := find_personal_data(text, settings, before, whole):
        parts, end = [], 0
        for kind, span in found:
            parts += [text[end : span.start], name(kind, span.value)]
            end = span.end
        text = "".join([*parts, text[end:]])
    return text


@dataclass(frozen=True)
class Finder:
    """How one kind is found. find: the spans of it in a text; its third argument is all texts of the row.

    pattern: what any text has in which one is found, as both re and Polars read it; empty where the settings leave
    nothing to look for, None where no pattern says it (names: see first_words). is_number: looked for where no date
    stands.
    """

    find: Callable[[str, PersonalData, str], Iterator[Span]]
    pattern: Callable[[PersonalData], str | None]
    is_number: bool = False


FINDERS: dict[Kind, Finder] = {
    "secret": Finder(lambda text, *_: secrets(text), lambda _: SECRET),
    "email": Finder(lambda text, *_: emails(text), lambda _: EMAIL),
    "iban": Finder(lambda text, *_: ibans(text), lambda _: IBAN, is_number=True),
    "card": Finder(lambda text, *_: cards(text), lambda _: CARD, is_number=True),
    "id": Finder(
        lambda text, settings, _: ids(text, settings.id_countries),
        lambda settings: candidates(settings.id_countries),
        is_number=True,
    ),
    "ip": Finder(
        lambda text, settings, whole: addresses(text, settings.ip_addresses == "all", whole),
        lambda _: IP,
    ),
    "phone": Finder(
        lambda text, settings, whole: phones(text, settings.phone_regions, whole),
        lambda _: PHONE,
        is_number=True,
    ),
    "name": Finder(
        lambda text, settings, _: listed_names(text, settings.names),
        lambda settings: None if settings.names else "",
    ),
}


@cache
def _patterns(settings: PersonalData) -> dict[Kind, re.Pattern[str] | None]:
    """Of each kind that is looked for, in their order, its pattern."""
    known = {kind: FINDERS[kind].pattern(settings) for kind in KINDS if kind in settings.kinds}
    return {
        kind: pattern if pattern is None else re.compile(pattern) for kind, pattern in known.items() if pattern != ""
    }


# ---------------------------------------------------------------- in many rows


def suspect(text: pl.Expr, settings: PersonalData | None = None) -> pl.Expr:
    """Whether a text could hold personal data; null where it is null. Several short patterns are quicker than one long
    one.
    """
    chosen = settings or PersonalData()
    patterns = _patterns(chosen)
    dateless = text.str.replace_all(UNSEEN, "|")
    # A boundary as ASCII has it: with Unicode's, one £ in a text sends the expression engine to its slow path (7 times
    # slower).
    known = {
        kind: pattern.pattern.replace(r"\b", r"(?-u:\b)") for kind, pattern in patterns.items() if pattern is not None
    }
    could = [(dateless if FINDERS[kind].is_number else text).str.contains(pattern) for kind, pattern in known.items()]
    could.append(text.str.contains(r"\\u00(?:40|2[bB])"))  # an @ or + as some writers of JSON put it
    if "name" in patterns:
        if not all(map(str.isascii, chosen.names)):
            could.append(text.str.contains(r"\\u[0-9a-fA-F]{4}"))  # a letter as JSON may have it
        lowered = text.str.normalize("NFKC").str.to_lowercase().str.replace_many(["ß", "ς"], ["ss", "σ"])
        could.append(lowered.str.contains_any(first_words(chosen.names)))
    return pl.any_horizontal(pl.lit(False), *could)


def suspects(rows: pl.DataFrame, settings: PersonalData) -> pl.Series:
    """For each of `rows` (ROW_SCHEMA), in their order, whether it could hold personal data."""
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n", ignore_nulls=True)
    said = pl.concat_str(contents, "rejected", separator="\n", ignore_nulls=True)
    could = suspect(said, settings) | suspect(pl.col("meta"), settings)
    # Arguments are JSON inside JSON, where escapes hide things from patterns: all rows with calls are looked through.
    return rows.select(could.alias("suspect"))["suspect"] | any_calls(rows)


def kinds_in(rows: pl.DataFrame, settings: PersonalData | None = None) -> pl.Series:
    """For each of `rows` (ROW_SCHEMA), in their order: the kinds found in it, "email, phone", or null."""
    chosen = settings or PersonalData()
    could = suspects(rows, chosen)
    found = iter([_kinds(row, chosen) for row in rows.filter(could).iter_rows(named=True)])
    return pl.Series("kinds", [next(found) if held else None for held in could], dtype=pl.String)


def _kinds(row: dict[str, Any], settings: PersonalData) -> str | None:
    found: set[Kind] = set()
    whole = texts_of(row)

    def look(text: str, before: str) -> str:
        found.update(kind for kind, _ in find_personal_data(text, settings, before, whole))
        return text

    rewritten(row, look)
    return ", ".join(kind for kind in KINDS if kind in found) or None


def texts_of(row: dict[str, Any]) -> str:
    """All texts of a row in one, each in a line: messages, calls, the rejected answer, meta."""
    contents = (message["content"] for message in row["messages"])
    return "\n".join(filter(None, (*contents, *(row.get("calls") or ()), row["rejected"], row["meta"])))


def rewritten(row: dict[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    """`row` with each of its texts as `change(text, before)` makes it: messages, rejected, calls, names and values of
    meta.

    before: the name of the value in meta or among arguments ("phone: "), or "". A number that is changed becomes a
    text.
    """
    messages = [{"role": m["role"], "content": m["content"] and change(m["content"], "")} for m in row["messages"]]
    rejected = row["rejected"] and change(row["rejected"], "")
    calls = [
        call and rewritten_call(call, lambda value: _rewritten_json(value, change, ""))
        for call in row.get("calls") or ()
    ]
    told = json.loads(row["meta"]) if row["meta"] else {}
    new = _rewritten_json(told, change, "")
    meta = row["meta"] if new == told else json.dumps(new, ensure_ascii=False, sort_keys=True)
    said = {**row, "messages": messages, "rejected": rejected, "meta": meta}
    return {**said, "calls": calls} if calls else said


def _rewritten_json(value: Any, change: Callable[[str, str], str], before: str) -> Any:
    if isinstance(value, dict):
        return {change(key, ""): _rewritten_json(v, change, f"{key}: ") for key, v in value.items()}
    if isinstance(value, list):
        return [_rewritten_json(v, change, before) for v in value]
    if isinstance(value, float) and value.is_integer():
        said = str(int(value))  # a column of card numbers with a gap in it comes as 4111111111111111.0
    elif isinstance(value, str | int) and not isinstance(value, bool):
        said = str(value)
    else:
        return value
    new = change(said, before)
    return value if new == said else new
