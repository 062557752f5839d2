"""What a text is about, where cleaning could take the subject away: characters, markup, or the blanks between words."""

from __future__ import annotations

import re

_ENCODING = r"decod\w*|encod\w*"
_CHARACTERS = re.compile(
    rf"\b(?:ascii|characters?|charset|code ?points?|{_ENCODING}|glyphs?|latin-?1|ligatures?|mojibake|unicode|utf-?8|"
    r"windows-?1252)\b",
    re.I,
)
_MARKUP = re.compile(
    rf"\b(?:css|{_ENCODING}|entit(?:y|ies)|escap\w*|x?html\d?|markdown|markup|render\w*|svg|tags?|unescap\w*|xml)\b",
    re.I,
)
_BLANKS = re.compile(r"\b(?:double spaces?|indent\w*|regex\w*|spaces|tsv|white ?space)\b", re.I)


def speaks_of_characters(text: str) -> bool:
    """Whether a text names what characters are to a computer."""
    return _CHARACTERS.search(text) is not None


def speaks_of_markup(text: str) -> bool:
    """Whether a text names what markup and its entities are."""
    return _MARKUP.search(text) is not None


def speaks_of_blanks(text: str) -> bool:
    """Whether a text names what blanks are for."""
    return _BLANKS.search(text) is not None
