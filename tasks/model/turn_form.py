"""The ways of a chat template: what ends a turn, what it puts around an answer, whether it wants content in parts.

A table of families would be wrong for the next one, so a template is asked: it writes a question, its answer and a
second question, and what stands between them is its form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tasks.core.errors import DataError
from tasks.core.row import Turn
from tasks.model.rendering import Rendering

PROBES = ("probequestion", "probeanswer", "probefollowup")
MOST_TEMPLATES = 4  # templates whose ways are remembered, each with its tokenizer


@dataclass(frozen=True)
class TurnForm:
    """parts: content is a list of parts. lead, trail: what stands before and behind an answer, white space for nearly
    all. end: the token that ends a turn; empty where there is none.
    """

    parts: bool = False
    lead: str = ""
    trail: str = ""
    end: str = ""


@lru_cache(maxsize=MOST_TEMPLATES)
def turn_form(tokenizer: Any, template: str) -> TurnForm:
    """The ways of a template, asked with a question, its answer and a second question."""
    talk = [{"role": role, "content": said} for role, said in zip(("user", "assistant", "user"), PROBES, strict=True)]
    for parts in (False, True):
        rendering = Rendering(tokenizer, template, parts=parts)
        asked = _tried(rendering, talk[:1], answering=True)
        if PROBES[0] in asked:
            finished, followed = _tried(rendering, talk[:2]), _tried(rendering, talk)
            end = _end(tokenizer, finished, followed, asked)
            around = _around(followed, asked, end)
            if around is None or around[0].strip():
                around = _around(finished, asked, end) or ("", "")
            return TurnForm(parts, *around, end)
    return TurnForm()


def _tried(rendering: Rendering, turns: list[Turn], answering: bool = False) -> str:
    try:
        return rendering.text(turns, answering)
    except DataError:  # the rows say so again, if they ask it for that
        return ""


def _end(tokenizer: Any, finished: str, followed: str, asked: str) -> str:
    """The token that follows an answer: the last one, or where templates leave that open, one before a user's turn,
    which is not what begins it.
    """
    question, answer, more = PROBES
    begins, between = asked.partition(question)[0], followed.partition(answer)[2].partition(more)[0]
    while between and begins.endswith(between[-1]):
        begins, between = begins[:-1], between[:-1]
    return _first_token(tokenizer, finished.partition(answer)[2]) or _first_token(tokenizer, between)


def _first_token(tokenizer: Any, text: str) -> str:
    """The added token that `text` begins with, after white space."""
    added = sorted((token for token in tokenizer.get_added_vocab() if token.strip()), key=len, reverse=True)
    return next((token for token in added if text.lstrip().startswith(token)), "")


def _around(text: str, asked: str, end: str) -> tuple[str, str] | None:
    """What stands between the prompt `asked` and an answer in `text`, and between the answer and the end of its turn;
    None where `text` does not begin with the prompt.
    """
    before, answer, after = text.removeprefix(asked).partition(PROBES[1])
    if not asked or not answer or not text.startswith(asked):
        return None
    trail = after.partition(end)[0] if end and end in after else ""
    return before, "" if trail.strip() else trail
