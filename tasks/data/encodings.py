"""Guess in which encoding a text is that is not UTF-8, for a message: nothing is ever read by a guess.

    guess_encoding("Wo ist mein Päckchen?".encode("cp1252"))    # cp1252

Each encoding is tried with each language that was written in it, and the one wins in which the most of what is beyond
ASCII become letters of that language, in words as it writes them. For UTF-16 without its mark the zeros tell.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

SAMPLE = 1 << 16  # bytes beyond which more of a text tells nothing new
SURE = 0.9  # share of the signs beyond ASCII that must be the language's; right ones reached 0.96 to 1.0
_SIGNS = "‘’‚“”„–—…•€«» °§"
_WESTERN = (
    "äöüß",
    "àâæçéèêëîïôùûüœ",
    "áéíñóúü¿¡",
    "ãáàâçéêíóôõúü",
    "àèéìíîòóù",
    "åäöæøéü",
    "áðéíóúýþæö",
)
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўјљњћџђ№"
# Of several that fit equally the first is meant, which is the commoner one.
LANGUAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cp1252", _WESTERN),
    ("cp1250", ("ąćęłńóśźż", "áäčďéěíĺľňóôŕřšťúůýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž")),
    ("cp1255", ("".join(map(chr, range(0x5B0, 0x5EB))),)),  # before cp1251, whose small letters Hebrew's are
    ("cp1251", (_CYRILLIC,)),
    ("koi8-r", (_CYRILLIC,)),
    ("cp1253", ("".join(map(chr, range(0x386, 0x3CF))),)),
    ("cp1254", ("çğıöşüâîû",)),
    ("cp1256", ("".join(map(chr, range(0x60C, 0x653))) + "پچژگ",)),
    ("shift_jis", ("",)),
    ("euc_kr", ("",)),  # before the Chinese ones, which take its syllables for characters in daily use
    ("gb18030", ("",)),
    ("big5", ("",)),
    ("mac_roman", _WESTERN),
    ("cp850", _WESTERN),
)
# The bytes of characters in daily use, level 1 of each standard, and of its full-width signs.
_DAILY = {
    "shift_jis": rb"[\x88-\x97][\x40-\xfc]|[\x81-\x83][\x40-\xfc]",
    "euc_kr": rb"[\xb0-\xc8\xa1-\xa3][\xa1-\xfe]",
    "gb18030": rb"[\xb0-\xd7\xa1-\xa3][\xa1-\xfe]",
    "big5": rb"[\xa1-\xc6][\x40-\xfe]",
}
_WITHIN = re.compile(r"(?<=[^\W\d_])[‚“”„•€«»°§](?=[^\W\d_])")  # signs that stand in no word
_FINAL = "ךםןףץ"  # Hebrew's letters at the end of a word
_WORD = re.compile(r"[^\W\d_]+|[^\x00-\x7f]")


def guess_encoding(data: bytes) -> str:
    """The name of the encoding that `data` is likely in; empty where none is likely, and for UTF-8 itself.

    data: a text, the beginning of one, or the parts of one that are not UTF-8.
    """
    data = data[:SAMPLE]
    if (wide := _utf16(data)) or _read(data, "utf-8"):
        return wide
    shares = {encoding: _share(data, encoding, languages) for encoding, languages in LANGUAGES}
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] >= SURE else ""


def state_encoding(data: bytes) -> str:
    """What to do about `data` that is not UTF-8, for a message; empty where nothing is known."""
    likely = guess_encoding(data)
    return (
        f"it looks like {likely}: if it is, say so at this source in the recipe, as encoding: {likely}"
        if likely
        else ""
    )


def is_text_encoding(name: str) -> bool:
    """Whether Python decodes text by this name."""
    try:
        return isinstance(codecs.decode(b"", name), str) and isinstance("".encode(name), bytes)
    except (LookupError, ValueError, TypeError):
        return False


def _utf16(data: bytes) -> str:
    """By the zeros: of plain Latin text every second byte is one."""
    pairs = len(data) // 2
    even, odd = (data[start::2].count(0) for start in (0, 1))
    if pairs < 2 or max(even, odd) < pairs / 2 or min(even, odd) > pairs / 10:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _read(data: bytes, encoding: str) -> str:
    """Empty where it cannot be; a sign that is cut at the end does not count."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, final=len(data) < SAMPLE)
    except UnicodeDecodeError:
        return ""


def _share(data: bytes, encoding: str, languages: tuple[str, ...]) -> float:
    """Share of the signs beyond ASCII that are of the best of these languages; 0 where it cannot be read so."""
    text = _WITHIN.sub("\ufffd", _read(data, encoding))
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    signs = sum(not sign.isascii() for word in words for sign in word)
    if encoding in _DAILY:
        alone = [word for word in words if sum(not sign.isascii() for sign in word) > 1 or len(word) == 1]
        good = [sum(_is_daily(sign, encoding) for word in alone for sign in word if not sign.isascii())]
    else:
        good = [sum(1 for word in words for _ in _fitting(word, language)) for language in languages]
    return max(good) / signs if signs else 0.0


def _fitting(word: str, language: str) -> Iterator[str]:
    """The signs of `word` beyond ASCII that the language writes, where it writes them: no capital within a word, and
    Latin letters among Latin ones alone.
    """
    latin = language[0] < "Ͱ"
    mixed = any(sign.isascii() for sign in word) != latin and len(word) > 1
    for place, sign in enumerate(word):
        letter = sign.lower() in language and (not place or sign == sign.lower() or word.isupper()) and not mixed
        letter = letter and (sign not in _FINAL or place == len(word) - 1)
        if not sign.isascii() and (letter or sign in _SIGNS):
            yield sign


def _is_daily(sign: str, encoding: str) -> bool:
    return re.fullmatch(_DAILY[encoding], sign.encode(encoding, "replace")) is not None
