"""The ends of a text: one rule for the answers that are trained on and for those that a model gives, so that both are
alike to the letter.
"""

from __future__ import annotations

import re

_EMPTY_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_INDENTED = re.compile(r" {4}|\t")  # as in Markdown


def trimmed(text: str) -> str:
    """Nothing around the text; but where its first line is indented as code is, or others below it are, its indentation
    is part of it.
    """
    text = _EMPTY_LINES.sub("", text.rstrip())
    return text if _INDENTED.match(text) or "\n " in text or "\n\t" in text else text.lstrip()
