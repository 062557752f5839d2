"""Broken Unicode put right by ftfy: mojibake, control characters, ligatures; line breaks made one kind."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tasks.curation.cleaning.subject import speaks_of_characters

# Seen by nobody and never typed: zero-width space, word joiner, byte order mark, soft hyphen. U+200C and U+200D stay.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def repair(text: str) -> str:
    """Mojibake, control characters and ligatures put right, in NFC; a text that speaks of characters stays as it is."""
    if text.isascii() and not _CONTROL.search(text):
        return text  # nothing that could be broken; ftfy takes 25 µs a message to say the same
    import ftfy

    if speaks_of_characters(text):
        return text
    return _INVISIBLE.sub("", ftfy.fix_text(text, _config()))


def line_breaks(text: str) -> str:
    """All line breaks as \\n; they are the export's and not the writer's."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@cache
def _config() -> Any:
    import ftfy

    # Entities are a matter of HTML; quotes and widths are how people write.
    return ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, fix_character_width=False, explain=False)
