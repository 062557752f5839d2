"""Text and numbers made fit to print: nothing invisible, nothing endless, every share with one decimal.

Autoescaping keeps a row from becoming markup; this module keeps it from deceiving the eye (bidi and control characters)
and from filling the page. What is cut says how long it was.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from itertools import groupby
from typing import Any

from markupsafe import Markup

# Tags and entities that text from a mail or a web form is full of; `a < b` and <order number> are no HTML.
HTML = (
    r"(?i)</?(?:a|b|blockquote|body|br|code|div|em|font|h[1-6]|head|hr|html|i|img|li|ol|p|pre|script|span|strong|style|table"
    r"|tbody|td|th|tr|u|ul)\b[^<>]*>|&(?:amp|apos|gt|lt|nbsp|quot|#[0-9]+|#x[0-9a-f]+);"
)
# Needed inside words of Persian and Hindi and inside emoji, and unable to reorder text.
JOINERS = "\u200c\u200d"
LEAD = 120  # characters kept before the first difference of two long texts, for context
TOKENS = re.compile(r"<[^<>]{1,200}>|&#?\w{1,12};|\w+|\s+|.", re.DOTALL)  # a tag or an entity changes as a whole
# Addresses (64 characters before the @ by RFC 5321; without a bound it would be quadratic), and digits as phones, cards
# and accounts have them; dates, and order numbers of five or six digits, stay.
PERSONAL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+|(?<!\w)(?!\d{4}-\d\d-\d\d)\+?\d(?:[ ()./-]{0,2}\d){6,}")
DIGEST = re.compile("[0-9a-f]{64}")
COVER = "▪"  # in the place of each letter
MENDED = 0.5  # likeness from which a word counts as repaired and not as taken out: "Itâ€™" and "It’" are 0.5 alike


def visible(text: str) -> str:
    """`text` with each control, bidi, format, private and unpaired character named: ⟨U+202E⟩ where text turns round."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_seen(char, len(list(run))) for char, run in groupby(text))


def _seen(char: str, times: int) -> str:
    if char.isprintable() or char in "\n\t" or char in JOINERS or unicodedata.category(char) == "Zs":
        return char * times
    name = "CR" if char == "\r" else f"U+{ord(char):04X}"  # few fonts have Unicode's control pictures
    return f"⟨{name} ×{times}⟩" if times > 1 else f"⟨{name}⟩"


def short(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; if some are left out, how many there are in all."""
    return text if len(text) <= limit else f"{text[:limit].rstrip()} … ({len(text):,} characters in all)"


def impersonal(text: str) -> str:
    """`text` of a row that redact has not seen, without addresses and long numbers."""
    return PERSONAL.sub("[not shown]", text)


def number_of(number: int, word: str) -> str:
    """So many of what `word` names: 1 row, 1,204 rows."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def words(value: Any) -> str:
    """A JSON value as a person would write it: lists with commas, an id by its first twelve characters."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ("; " if any(isinstance(item, dict) for item in value) else ", ").join(map(words, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return value[:12] if isinstance(value, str) and DIGEST.fullmatch(value) else str(value)


def differences(before: str, after: str, limit: int, *, cover: bool = False) -> tuple[Markup, Markup]:
    """Both texts with what was taken out marked <del> and what was put in marked <ins>, around the first difference.

    Compares words, tags and spaces, not characters, so that the marks fall where a reader would put them. cover: of
    words that were taken out, show only how long they were; a signature is personal whatever it says.
    """
    pairs = enumerate(zip(before, after, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(before), len(after)))
    start = first - LEAD if first > 2 * LEAD else 0
    texts = [text[start : start + limit] for text in (before, after)]
    old, new = (TOKENS.findall(text) for text in texts)
    pieces: tuple[list[Markup], list[Markup]] = ([], [])
    for same, a, b in _runs(old, new):
        pieces[0].append(_marked(_covered(a, b) if cover and not same else a, "" if same else "del"))
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
    shown = visible(text).replace("\n", "↵\n")  # else a lost line is invisible
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), shown)


def _covered(old: str, new: str) -> str:
    one_word = not re.search(r"\s", old)
    if one_word and difflib.SequenceMatcher(None, old, new, autojunk=False).ratio() >= MENDED:
        return old
    return TOKENS.sub(lambda token: _cover(token[0]), old)


def _cover(token: str) -> str:
    """Markup keeps its name and loses its attributes, which hold addresses; a single letter names nobody."""
    if re.fullmatch(HTML, token):
        return re.sub(r"\s[^>]*", " …", token)
    return re.sub(r"\w{2,}", lambda word: COVER * len(word[0]), token)


def _rest(text: str, end: int) -> str:
    return f" … ({len(text):,} characters in all)" if len(text) > end else ""


def percent(share: float | None) -> str:
    """A share as `94.2 %`, never broken between number and sign; an em dash where there is none."""
    return "—" if share is None else f"{_minus(100 * share, '')}\N{NO-BREAK SPACE}%"


def points(difference: float) -> str:
    """A difference of two shares in points, as `+51.9`."""
    return _minus(100 * difference, "+")


def span(low: float, high: float, *, sign: bool = False) -> str:
    """An interval of shares as `[89.1, 97.8]`, in percent; the ends are rounded outwards, never to look narrower."""
    plus = "+" if sign else ""
    down, up = math.floor(round(low * 1000, 6)) / 10, math.ceil(round(high * 1000, 6)) / 10
    return f"[{_minus(down, plus)}, {_minus(up, plus)}]"


def _minus(number: float, sign: str) -> str:
    return f"{round(number, 1) + 0.0:{sign}.1f}".replace("-", "−")  # adding zero turns -0.0 into 0.0


def count(number: float | None) -> str:
    """`1,234`; an em dash where there is none."""
    return "—" if number is None else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """`8.2 s`, `4 min 30 s` or `2 h 05 min`, never broken over two lines."""
    if seconds is None:
        return "—"
    minutes, rest = divmod(round(seconds), 60)
    if seconds < 59.95:
        text = f"{seconds:.1f} s"
    else:
        text = f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def estimate(minutes: float) -> str:
    """Minutes that were estimated, no finer than they can be: `< 1 min`, `22 min` or `2 h 05 min`."""
    hours, rest = divmod(round(minutes), 60)
    text = "< 1 min" if minutes < 1 else f"{hours} h {rest:02} min" if hours else f"{rest} min"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def size(n: float | None) -> str:
    """Bytes as `19.6 MB`, powers of ten."""
    if n is None:
        return "—"
    power = min(3, max(0, (len(str(int(n))) - 1) // 3))
    return f"{n / 1000**power:,.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB')[power]}"
