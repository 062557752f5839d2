"""The last line of an answer, and the kind of place at which it ends, which says whether a full stop is due there.

How often one really stands at each kind of place is learned from the dataset (ending_habits.py): where 99 of 100
sentences after another sentence are ended, one that is not was cut; where people sign with their names, a name after a
sentence was not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from tasks.curation.cleaning.mail import is_farewell

NAME_CHARACTERS = 200  # at the end of a line that are searched for a tag, a link or a name
SIGNED = 8  # words of a farewell with a name
AFTER_ANOTHER, NAME_AFTER = "sentence after another", "name after a sentence"
SMALL = 0.6  # of the words of a sentence; a title has fewer
LONG = 8  # words, from which on lines are alike
SENTENCE = 4  # words below which a line is as often a label or a fragment
_ITEM = re.compile(r"\s*(?:[-*•·–>|#]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.):])(?:\s|$)")
# A tag, a link, an author.
_NAMED = re.compile(r"(?:^|\s)[#@]\w+(?: \w+)?$|\S*[./@]\S+$|[-–—]\s*[A-Z][\w.]*(?: [A-Z][\w.]*){0,3}$")
_SENTENCE_END = re.compile(r"(?:(?<=[^\W\d_]{3})|(?<=[a-z]{2})|(?<=\w[)\"”]))[.!?][\"')\]”’]*\s+[A-Z\"'“]")
_ENDED = re.compile(r"[.!?][\"')\]”’*]*\s*$")
_CODE = re.compile(r"[{}=<>|\t]|;$| {3}")
_INDENTED = re.compile(r"(?:\t| {2,})[^\W\d_]")
_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBERS = {name: i for i, name in enumerate(_NUMBERS, 2)}
# "five healthy snacks", not "the last 5 years" or "in 50 words".
_WANTED = re.compile(
    rf"(?i)\b({'|'.join(NUMBERS)}|[2-9]|[1-4]\d)\s+(?:[\w'-]+\s+){{0,3}}?"
    r"(?!(?:years|months|weeks|days|hours|minutes|seconds|times|words|sentences|paragraphs|lines|characters)\b)\w+[^s\W]s\b"
)
_LISTED_WITHIN = re.compile(r"\s\(?(\d{1,3})[.):]\s")
_BETWEEN = re.compile(r",(?: and\b)?|;|\band\b")
_ENUMERATES = re.compile(r"\b(?:are|include)\b")
_LISTED = re.compile(r"\s*(?:[-*•·–]|\(?(\d{1,3})[.):])\s")
_MARKS = (": ", " - ", " – ", "|")
_AROUND = ' "“(*'  # what may stand before a word that begins something
_LABEL = re.compile(r"[^.!?:\n]{1,40}:\s")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class LastLine:
    """Last line of an answer. line: the last that is not blank, without blanks at its end; before: those above it."""

    line: str
    before: list[str]

    @classmethod
    def of(cls, text: str) -> LastLine:
        """The last line of `text`, an answer with something in it."""
        *before, line = [part for part in text.split("\n") if part.strip()]
        return cls(line.rstrip(), before)

    @cached_property
    def words(self) -> list[re.Match[str]]:
        return list(_WORD.finditer(self.line))

    @cached_property
    def is_item(self) -> bool:
        return _ITEM.match(self.line) is not None

    @property
    def content(self) -> str:
        mark = _ITEM.match(self.line)
        return self.line[mark.end() :] if mark else self.line

    @cached_property
    def items(self) -> list[str]:
        """The list items above it."""
        return [part for part in self.before if _ITEM.match(part)]

    @cached_property
    def is_code(self) -> bool:
        return _CODE.search(self.line) is not None or any(map(_INDENTED.match, [*self.before, self.line]))

    @property
    def is_named(self) -> bool:
        return _NAMED.search((self.content if self.items else self.line)[-NAME_CHARACTERS:]) is not None

    @property
    def signs(self) -> bool:
        """Whether it is a mail's closing, or stands below one."""
        return any(map(is_farewell, [*self.before[-1:], self.tail]))

    @cached_property
    def tail(self) -> str:
        """What stands after the last sentence that ends within the line; the line itself if none does."""
        *_, begun = [0, *(found.end() - 1 for found in _SENTENCE_END.finditer(self.line))]
        return self.line[begun:]

    @property
    def differs(self) -> bool:
        """Whether it lacks the colon, dash or bar that both lines above it have."""
        above = [line.rstrip() for line in self.before[-2:]]
        return len(above) == 2 and any(
            mark.strip() not in self.line and all(mark in line and line.partition(mark)[0].strip() for line in above)
            for mark in _MARKS
        )

    @cached_property
    def begun(self) -> str:
        """What was begun last: a sentence, a list item, what a label says, or a line below others; empty in an only
        line.
        """
        if self._goes_on:
            return self.tail.strip(_AROUND)
        return self.content_after_label if self.before or self.content_after_label != self.line else ""

    @property
    def content_after_label(self) -> str:
        """What stands behind its list mark and its label."""
        return self.content.split(": ")[-1].strip(_AROUND)

    @property
    def is_open(self) -> bool:
        return is_open(self.line)

    @property
    def last(self) -> str:
        return self.words[-1][0] if self.words else ""

    @property
    def place(self) -> str:
        """What kind of place it ends at, whether or not it is ended; empty where no full stop is due."""
        if self.is_code or not self.words or self.is_named or self.signs:
            return ""
        if self.is_item:
            if self.items and all(map(_ENDED.search, self.items)):
                return "list item after ended ones"
            return "sentence after another in a list item" if self._goes_on else ""
        if self._goes_on:
            words = _WORD.findall(self.tail)
            names = (
                not self.last.islower() and len(words) <= SIGNED and sum(map(str.islower, words)) < SMALL * len(words)
            )
            return NAME_AFTER if names else AFTER_ANOTHER
        if self.before and not _ENDED.search(self.before[-1]):
            return ""  # it may be a verse
        labelled = [part for part in self.before if _LABEL.match(part)]
        if _LABEL.match(self.line) and labelled and all(map(_ENDED.search, labelled)):
            return "labelled line after ended ones"
        if self.before and len(self.words) < SENTENCE and not _LABEL.match(self.line):
            return f"short line {'' if self.last.islower() else 'with a capital '}after an ended one"
        *label, said = re.split(r":\s+", self.line)
        small = [word[0][0].islower() for word in _WORD.finditer(said)]
        counted = len(small) + len(re.findall(r"\d+", said))
        if len(small) < max(SENTENCE, 0.75 * counted) or not said[:1].isupper() or sum(small) < SMALL * len(small):
            return ""
        if said.count(",") * 4 > len(small) or (len(small) < LONG and said.rstrip(".!?")[-1:].isdigit()):
            return ""  # a list in a line; a result
        return f"{'labelled ' if label else ''}line of {min(len(small), LONG)} words"

    @property
    def _goes_on(self) -> bool:
        return len(self.tail) < len(self.line)


def missing_items(end: LastLine, prompt: str) -> dict[str, int]:
    """{items, asked_for} where a list ends in the open before it has what the prompt, or the line above it, names; else
    {}.
    """
    given = _listed(end) if end.is_open else 0
    said = "\n".join([prompt, *(line for line in end.before if line not in end.items)])
    wanted = {NUMBERS.get(found[1].lower()) or int(found[1]) for found in _WANTED.finditer(said)} if given else set()
    return {"items": given, "asked_for": min(wanted)} if len(wanted) == 1 and given < min(wanted) else {}


def _listed(end: LastLine) -> int:
    """How many items a list has, in lines of their own, numbered in one line, or after "are" or "include"; 0: it is no
    list.
    """
    number, within = _LISTED.match(end.line), _LISTED_WITHIN.findall(end.line)
    if within:
        return 0 if end.items else int(within[-1])
    if number:
        return int(number[1] or len(end.items) + 1)
    return len(_BETWEEN.split(end.line)) if not end.before and _ENUMERATES.search(end.line) else 0


def is_open(line: str) -> bool:
    """Whether it ends in a letter or a digit."""
    return line[-1:].isalnum()
