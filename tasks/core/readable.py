"""Text and numbers made fit to print: nothing invisible, nothing endless, every share with one decimal.

Autoescaping keeps a row from becoming markup; this module keeps it from deceiving the eye (bidi and control characters) and
from filling the page. What is cut says how long it was.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata

from markupsafe import Markup

# Needed inside words of Persian and Hindi and inside emoji, and unable to reorder text.
JOINERS = "\u200c\u200d"
LEAD = 120  # characters kept before the first difference of two long texts, for context
TOKENS = re.compile(r"<[^<>]{1,200}>|&#?\w{1,12};|\w+|\s+|.", re.DOTALL)  # a tag or an entity changes as a whole
# Addresses, and digits as phones, cards and accounts have them; order numbers of five or six digits stay.
PERSONAL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<!\w)\+?\d(?:[ ()./-]{0,2}\d){6,}")


def visible(text: str) -> str:
    """`text` with each control, bidi, format, private and unpaired character named: a carriage return becomes a visible ␍."""
    return text if text.isascii() and text.isprintable() else "".join(map(_seen, text))


def _seen(char: str) -> str:
    if char.isprintable() or char in "\n\t" or char in JOINERS or unicodedata.category(char) == "Zs":
        return char
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's control pictures
    return f"⟨U+{code:04X}⟩"


def short(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; if some are left out, how many there are in all."""
    return text if len(text) <= limit else f"{text[:limit].rstrip()} … ({len(text):,} characters in all)"


def impersonal(text: str) -> str:
    """`text` of a row that redact has not seen, without addresses and long numbers."""
    return PERSONAL.sub("[not shown]", text)


def differences(before: str, after: str, limit: int) -> tuple[Markup, Markup]:
    """Both texts with what was taken out marked <del> and what was put in marked <ins>, around the first difference.

    Compares words, tags and spaces, not characters, so that the marks fall where a reader would put them.
    """
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    start = same - LEAD if same > 2 * LEAD else 0
    texts = [text[start : start + limit] for text in (before, after)]
    old, new = (TOKENS.findall(text) for text in texts)
    pieces: tuple[list[Markup], list[Markup]] = ([], [])
    for same, a, b in _runs(old, new):
        pieces[0].append(_marked(a, "" if same else "del"))
        pieces[1].append(_marked(b, "" if same else "ins"))
    lead = "… " if start else ""
    left, right = (
        Markup("{}{}{}").format(lead, Markup("").join(parts), _rest(whole, start + limit))
        for parts, whole in zip(pieces, (before, after), strict=True)
    )
    return left, right


def _runs(old: list[str], new: list[str]) -> list[tuple[bool, str, str]]:
    """(same, old text, new text) in order; a lone space between two changes belongs to them."""
    runs: list[tuple[bool, str, str]] = []
    codes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for i, (tag, a1, a2, b1, b2) in enumerate(codes):
        a, b = "".join(old[a1:a2]), "".join(new[b1:b2])
        same = tag == "equal" and not (a.isspace() and 0 < i < len(codes) - 1)
        if runs and runs[-1][0] == same:
            a, b = runs[-1][1] + a, runs[-1][2] + b
            runs.pop()
        runs.append((same, a, b))
    return runs


def _marked(text: str, tag: str) -> Markup:
    if not tag or not text:
        return Markup("{}").format(visible(text))
    return Markup("<{0}>{1}</{0}>").format(
        Markup(tag), visible(text).replace("\n", "↵\n")
    )  # else a lost line is invisible


def _rest(text: str, end: int) -> str:
    return f" … ({len(text):,} characters in all)" if len(text) > end else ""


def percent(share: float | None, *, sign: bool = False) -> str:
    """A share as `94.2 %`; an em dash where there is none."""
    if share is None:
        return "—"
    rounded = round(100 * share, 1) + 0.0  # never "-0.0"
    return f"{rounded:{'+' if sign else ''}.1f} %".replace("-", "−")


def count(number: float | None) -> str:
    """`1,234`; an em dash where there is none."""
    return "—" if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """`8.2 s`, `4 min 30 s` or `2 h 05 min`."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def size(n: float | None) -> str:
    """Bytes as `19.6 MB`, powers of ten."""
    if n is None:
        return "—"
    power = min(3, max(0, (len(str(int(n))) - 1) // 3))
    return f"{n / 1000**power:,.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB')[power]}"


def span(low: float, high: float, *, sign: bool = False) -> str:
    """An interval of shares as `[89.1, 97.8]`, in percent; the ends are rounded outwards, never to look narrower."""
    ends = math.floor(round(low * 1000, 6)) / 10 + 0.0, math.ceil(round(high * 1000, 6)) / 10 + 0.0
    plus = "+" if sign else ""
    return f"[{ends[0]:{plus}.1f}, {ends[1]:{plus}.1f}]".replace("-", "−")
