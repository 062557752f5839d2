"""Blanks that an export left, and not those that lay out a table, a drawing or a text in quotes."""

from __future__ import annotations

import re

from tasks.core.text.trimmed import trimmed
from tasks.curation.cleaning import mail
from tasks.curation.cleaning.subject import speaks_of_blanks

# Spaces of other widths, but for the ideographic one, which Japanese and Chinese write on purpose.
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
# Not at the start of a line, where blanks are indentation, also behind the mark of a diff or a list; and not in quotes
# around a word or two, which no one would say but show.
_QUOTES = r"""(?<!\w)(["'])[^\s"']*(?: +[^\s"']*)?\1(?!\w)"""
_INNER = re.compile(rf"{_QUOTES}|(?<=\S)(?<!\A[-+])(?<!\n[-+]) {{2,}}(?=\S)")
_RUN = re.compile(r"(?<=\S) {2,}(?=\S)")
_LAID_OUT = 3  # blanks that nobody types between two words
_EMPTY = re.compile(r"\n{3,}")


def tidy_blanks(text: str) -> str:
    """One blank between words, no blanks at line ends, at most one empty line, nothing around the text."""
    text = _SPACES.sub(" ", text)
    if not _is_laid_out(text):
        text = _INNER.sub(lambda found: found[0] if found[1] else " ", text)
    lines = (line if line == mail.DELIMITER else line.rstrip(" \t") for line in text.split("\n"))
    return trimmed(_EMPTY.sub("\n\n", "\n".join(lines)))


def _is_laid_out(text: str) -> bool:
    """Whether blanks lay a text out: it speaks of them, or they make columns in lines that follow each other."""
    if "  " not in text:
        return False
    if speaks_of_blanks(text):
        return True
    wide, aligned, before = 0, 0, frozenset[int]()
    for line in text.split("\n"):
        runs = list(_RUN.finditer(line))
        wide += sum(len(run[0]) >= _LAID_OUT for run in runs)
        ends = frozenset(run.end() for run in runs)
        aligned = aligned + 1 if ends & before else 0
        before = ends
        if wide > 1 or aligned > 1:
            return True
    return False
