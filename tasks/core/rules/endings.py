"""Answers that were cut off, told by how the answers of this very dataset end.

Nothing is flagged where answers do not normally end in punctuation, or where too few are there to know. Otherwise an answer
that ends in a letter, a comma or an open bracket was cut if one of these holds:
    its last word never ends a sentence here ("the"), though it is frequent;
    its last word is no word here, but others begin with it ("informat");
    earlier sentences of the same passage, or the list items before it, are ended and it is not;
    it is one running sentence of some length in plain words, and no verse.
Verses, headings, labels, tags, links and lists that end without a full stop stay. Cut-off JSON is a matter of format.
"""

from __future__ import annotations

import re

import polars as pl

from tasks.core.rules.habits import OPEN, Habits
from tasks.core.rules.rule import About, Found, Row, answers

NAME_CHARACTERS = 200  # at the end of a line that are searched for a tag, a link or a name
SIGNED = 8  # words of a farewell with a name
_ITEM = re.compile(r"\s*(?:[-*•·–>|#]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.):])(?:\s|$)")
_BARE = re.compile(r"\s*(?:[-*•·–]|\d{1,3}[.):])\s*")
_NAMED = re.compile(r"(?:^|\s)[#@]\w+$|\S*[./@]\S+$|[-–—]\s*[A-Z][\w.]*(?: [A-Z][\w.]*){0,3}$")  # tag, link, author
_SENTENCE_END = re.compile(r"(?:(?<=[^\W\d_]{3})|(?<=[a-z]{2}))[.!?][\"')\]”’]*\s+[A-Z\"'“]")
_ENDED = re.compile(r"[.!?][\"')\]”’*]*\s*$")
_CODE = re.compile(r"[;{}=<>\t]| {3}")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def may_be_cut(about: About) -> pl.Series:
    text = pl.col("text").str.strip_chars_end()
    fenced = text.str.contains("```", literal=True) & (text.str.count_matches("```", literal=True) % 2 == 1)
    several = text.str.contains(r"\s") & ~text.str.contains(r"^\s*[\[{]")
    plain = several & text.str.contains(OPEN + r"|\n\s*(?:[-*•·–]|\d{1,3}[.):])$")
    return about.answers.filter(fenced | (plain if about.habits.punctuated else pl.lit(False)))["row"]


def is_cut(row: Row, about: About) -> Found | None:
    for number, text, _ in answers(row):
        text = text.strip()
        if text.startswith(("{", "[")):
            continue
        sign = "open code block" if text.count("```") % 2 else _sign(text, about.habits) if about.habits.punctuated else ""
        if sign:
            return "answer is cut off", {"message": number, "characters": len(text), "sign": sign}
    return None


def _sign(text: str, known: Habits) -> str:
    """Why an answer that ends in the open was cut; empty if that cannot be said."""
    *before, line = [part for part in text.split("\n") if part.strip()]
    words = list(_WORD.finditer(line))
    item = bool(_ITEM.match(line))
    if _BARE.fullmatch(line) and sum(bool(_ITEM.match(part)) for part in before) >= 2:
        return "empty list item"
    if _NAMED.search(line[-NAME_CHARACTERS:]) or len(words) < 2:
        return ""
    if text[-1] in ",([":
        return "open bracket or comma" if not item and len(words) >= 4 else ""
    if words[-1].end() != len(line.rstrip()):
        return ""  # a number, or no end in the open at all
    last = words[-1][0]
    # After a comma or an operator a small word is an entry, and capitals are notes, grades and names.
    follows = last.islower() and line[words[-2].end() : words[-1].start()] == " "
    if follows and known.never_last(last) and not (item and len(words) < 4):
        return "word that ends no sentence"
    if known.is_fragment(last.lower()) and not _CODE.search(line) and (follows or len(last) > 2):
        return "part of a word"
    if item:
        items = [part for part in before if _ITEM.match(part)]
        return "unended list item" if len(items) >= 2 and all(map(_ENDED.search, items)) and len(words) >= 3 else ""
    *_, begun = [0, *(found.end() - 1 for found in _SENTENCE_END.finditer(line))]
    if begun and not last.islower() and sum(word.start() >= begun for word in words) <= SIGNED:
        return ""  # Kind regards, Jo at Harbour & Pine
    return "unended sentence" if (begun and len(words) >= 6) or _is_running(line, words, before, known) else ""


def _is_running(line: str, words: list[re.Match[str]], before: list[str], known: Habits) -> bool:
    """One long sentence in plain words; after a line that did not end either it may be a verse, and is none."""
    if len(words) < 6 or not line[:1].isupper() or _CODE.search(line) or (before and not _ENDED.search(before[-1])):
        return False
    small = sum(word[0][0].islower() for word in words)
    function = sum(known.never_last(word[0].lower(), known.frequent) for word in words)
    return small >= 0.6 * len(words) and function >= 2
