"""Answers that were cut off, told by how the answers of this very dataset end.

Nothing is flagged where answers do not normally end in punctuation, or where too few are there to know. Otherwise an
answer that ends in a letter, a comma or an open bracket was cut if one of these holds:
    its last word never ends a sentence here ("the"), though it is frequent;
    its last word is no word here, but others begin with it ("informat");
    a bracket, a quotation or a comma is open;
    it names one thing after another and does not come to the "and";
    its last line lacks what both lines above it have: a colon, a dash, the bar of a table;
    it is a list that ends in the open before the number of items that was asked for, or announced, is reached;
    it ends at a kind of place where nearly all answers here are ended (last_line.py): in a sentence after another one,
    in plain words of some length, in an item of a list whose other items are ended.
Of a conversation the last answer is judged so; an earlier one, to which somebody replied, was cut only where it stops
within a phrase, and then the row says that an earlier answer was.
What is open at an answer's end is itself in question, so nothing is learned of it.
Verses, headings, labels, tags, links and lists that end without a full stop stay, and so do an edited sentence whose
original in the prompt has none either, and a title or a poem that was asked for. Cut-off JSON is a matter of format.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers
from tasks.curation.filters.ending_habits import OPEN, Habits, place_of
from tasks.curation.filters.last_line import LastLine, is_open, missing_items
from tasks.curation.filters.last_word import sign

# Who asks for one of these may get it without a full stop; nothing follows from that.
_UNENDED = re.compile(
    r"(?i)\b(?:write|create|compose|generate|make|craft|construct|come up|suggest|give|propose|design|think of"
    r"|brainstorm"
    r"|produce|provide|need|want)\b(?:(?!\b(?:with|given|following|using|titled)\b).){0,60}\b(?:title|headline|heading"
    r"|caption|slogan|tagline|motto|subject line|haiku|poem|verse|lyrics|song|rhyme|limerick)s?\b"
)
JSON = r"^\s*(?:\{|\[\s*(?:[\"'{\[\d-]|$))"  # how JSON begins; "[Name]" is a gap to fill
_JSON = re.compile(JSON)
# Below the first line, quoted, after a colon.
_GIVEN = re.compile(r"\n([^\n]+)|[\"“]([^\"”\n]{3,})[\"”]|:[ \t]+([^\n]+)$")
COPIED = 3  # words
# Signs of an answer that stops within a phrase. The others only say that it stops unlike the dataset's: so do answers
# that are not the last of a conversation, in chats where people go on talking.
OF_ITSELF = {"open bracket", "open quotation", "word that ends no sentence", "part of a word"}
ALIKE = 0.5  # of the words of an edited sentence that its original has too, and at least so much of its length


def may_be_cut(context: FilterContext) -> pl.Series:
    text = pl.col("text").str.strip_chars_end()
    fenced = text.str.contains("```", literal=True) & (text.str.count_matches("```", literal=True) % 2 == 1)
    several = text.str.contains(r"\s") & ~text.str.contains(JSON)
    plain = several & text.str.contains(OPEN + r"|\n\s*(?:[-*•·–]|\d{1,3}[.):])$")
    return context.taught_answers.filter(fenced | (plain if context.habits.punctuated else pl.lit(False)))["row"]


def is_cut(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    """Each answer by itself, the last first, under a reason that says which it is."""
    last, *earlier = reversed(list(taught_answers(row)))
    if found := _cut(last, context.habits, is_last=True):
        return "answer is cut off", found
    for one in earlier:
        if found := _cut(one, context.habits, is_last=False):
            return "an earlier answer is cut off", found
    return None


def _cut(answer: tuple[int, str, str], known: Habits, is_last: bool) -> dict[str, Any]:
    """What shows that an answer (number, text, prompt) was cut; empty where nothing does."""
    number, text, prompt = answer
    text = text.strip()
    evidence: dict[str, Any] = {"message": number, "characters": len(text)}
    if not text or _JSON.match(text):
        return {}
    if text.count("```") % 2:
        return evidence | {"sign": "open code block"}
    if not known.punctuated or _is_given(end := LastLine.of(text), prompt):
        return {}
    if found := sign(end, known.words, prompt):
        return evidence | {"sign": found} if is_last or found in OF_ITSELF else {}
    if not is_last:
        return {}
    if counted := missing_items(end, prompt):
        return evidence | {"sign": "fewer list items than asked for"} | counted
    place = place_of(end, known.words)
    share = _due(end, place, prompt, known)
    return evidence | {"sign": f"unended {place}", "usually_ended": share} if share else {}


def _due(end: LastLine, place: str, prompt: str, known: Habits) -> float:
    """The share of answers that are ended at such a place, if this one is open there and should not be; else 0."""
    share = known.ended_at(place) if end.is_open else 0.0
    return 0.0 if not share or _UNENDED.search(prompt) or _edits(end.line, prompt) else share


def _edits(line: str, prompt: str) -> bool:
    """Whether the prompt holds nearly the same line, without a full stop either."""
    words = _words(line)
    for original in _given(prompt):
        theirs = _words(original)
        if is_open(original) and len(words & theirs) >= ALIKE * max(len(words), len(theirs)):
            return True
    return False


def _is_given(end: LastLine, prompt: str) -> bool:
    """Whether the prompt gives the ending: as that of a line like it, or every word of an answer of one line, to be
    sorted.
    """
    words = _words(end.line)
    same = any(re.search(rf"\b{end.last}$", given) for given in _given(prompt) if end.last) and _edits(end.line, prompt)
    return bool(same) or (
        not end.before and any(words <= _words(given) and not _goes_on(end, given) for given in _given(prompt))
    )


def _goes_on(end: LastLine, given: str) -> bool:
    """Whether a text has the last words of a line and then more: a copy that stopped."""
    last = [re.escape(word) for word in re.findall(r"\w+", end.line)[-COPIED:]]
    return re.search(r"\b" + r"\W+".join(last) + r" \w", given, re.I) is not None


def _given(prompt: str) -> list[str]:
    return [found[found.lastindex or 0].strip(' "“”') for found in _GIVEN.finditer(prompt)]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


RULE = Filter("truncated", may_be_cut, is_cut, "quarantine", of_answers=True)
