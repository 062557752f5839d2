"""A conversation as the text that a chat template makes of it, and the template's own ways, found by asking it.

A table of families would be wrong for the next one, so a template is asked: one finished turn tells with what it ends a
turn, which white space it puts around an answer, and whether it takes content as text or as a list of parts.

What people wrote is text, whatever it says: `<|im_end|>` in a message is marked before the template sees it
(transformers' mark_control_tokens), and becomes the tokens of those letters (`Rendering.tokens`), never the end of a
turn. Else whoever writes to an inbox could speak as the system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from tasks.core.errors import DataError, RecipeError
from tasks.core.row import Turn, with_arguments

WHERE = "base model's chat template, or recipe: prompt.chat_template"
# The date that a template is told which writes today's: else the prompt would be another one each day, under the same
# digest. The code that serves a version travels with it, and so does this.
TODAY = date(2025, 1, 1)
# As a macro of the template, which hides transformers' function of that name: no function may be handed to a template.
_DIRECTIVES = ("-d", "-m", "-H", "-I", "-M", "-j", *"aAbBdHIjmMpSuwyY")
_WRITTEN = "".join(f".replace('%{one}', '{TODAY.strftime(f'%{one}')}')" for one in _DIRECTIVES)
_PINNED_DATE = "{% macro strftime_now(format) %}{{ format" + _WRITTEN + " }}{% endmacro %}{{ '' }}"
OWN_WORDS = ("system", "assistant")  # roles whose texts are a developer's or the model's own
PROBES = ("probequestion", "probeanswer", "probefollowup")
MOST_TEMPLATES = 4  # templates whose ways are remembered, each with its tokenizer
BAD = (TypeError, ValueError)  # what a template's own code fails with where it does not refuse in its own words


@dataclass(frozen=True)
class TurnForm:
    """The ways of a template. parts: it takes content as a list of parts. lead, trail: what it puts before and behind
    an answer, white space for nearly all. end: the token with which it ends a turn; empty where it writes none.
    """

    parts: bool = False
    lead: str = ""
    trail: str = ""
    end: str = ""


class Rendering:
    """A tokenizer with one chat template and the tools on offer."""

    def __init__(self, tokenizer: Any, template: str, tools: list[Any] | None = None, parts: bool = False) -> None:
        self._tokenizer, self._template, self._parts = tokenizer, template, parts
        self._dated = _PINNED_DATE + template if "strftime_now" in template else template
        self.tools = self._marked(tools, _special(tokenizer)) if tools else None

    def marked(self, turns: Sequence[Turn]) -> list[Turn]:
        """`turns` with the control tokens in what people wrote marked as text.

        In a system prompt and in answers these are the tokenizer's special tokens. In what users and tools say they are
        also the other added tokens that the template writes, as DeepSeek's of a user's turn: `<think>` or `<tool_call>`
        in an answer are what the model itself writes as one token.
        """
        own, all_ = _special(self._tokenizer), _control(self._tokenizer, self._template)
        return [self._marked(turn, own if turn["role"] in OWN_WORDS else all_) for turn in turns]

    def _marked(self, value: Any, tokens: re.Pattern[str]) -> Any:
        if not any(map(tokens.search, _texts(value))):
            return value
        from transformers.utils.chat_template_utils import mark_control_tokens

        return mark_control_tokens(value, tokens)

    def text(self, turns: Sequence[Turn], answering: bool) -> str:
        """What the template makes of `turns`, which are marked. answering: up to where the next answer begins. Raises
        DataError.

        The arguments of calls are values, which most templates write as JSON; text where one can only join texts.
        """
        from jinja2 import TemplateError

        try:
            try:
                return self._rendered([with_arguments(turn) for turn in turns], answering)
            except TypeError:
                return self._rendered(turns, answering)
        except (TemplateError, *BAD) as error:
            raise DataError(
                f"The chat template refuses a conversation of {', '.join(t['role'] for t in turns) or 'no turn'}: "
                f"{error}",
                where=WHERE,
                allowed="for most templates: user and assistant in turn, after at most one system prompt",
                todo="filter such rows out, or set prompt.chat_template",
            ) from error

    def _rendered(self, turns: Sequence[Turn], answering: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(
            [_in_parts(turn) for turn in turns] if self._parts else list(turns),
            tools=self.tools,
            chat_template=self._dated,
            tokenize=False,
            add_generation_prompt=answering,
        )
        return text

    def tokens(self, text: str, after: str = "") -> list[int]:
        """The ids of a piece of a rendered text. after: the token that it follows; "\\n" where that is not known, so
        that a tokenizer which begins every text with a blank (SentencePiece) adds none in the middle of a conversation.
        """
        if not after:
            return self._encoded(text)
        before, ids = self._encoded(after), self._encoded(after + text)
        return ids[len(before) :] if before and ids[: len(before)] == before else self._encoded(text)

    def answer_tokens(self, text: str) -> list[int]:
        """The ids of an answer, which stands behind a template's own text."""
        return self.tokens(text, "\n" if _begins_with_blank(self._tokenizer) else "")

    def _encoded(self, text: str) -> list[int]:
        ids: list[int]
        if not MARKED.search(text):
            ids = self._tokenizer.encode(text, add_special_tokens=False)
            return ids
        try:
            ids = self._tokenizer(text, add_special_tokens=False, sanitize_control_tokens=True)["input_ids"]
        except ValueError as error:
            raise DataError(
                f"What is said here cannot be told from the chat template's own tokens: {error}",
                where="messages",
                allowed="text without the model's control tokens, for this tokenizer",
                todo="take these rows out, or take another base model",
            ) from error
        return ids

    def check_written(self, turns: Sequence[Turn], text: str) -> None:
        """Raise DataError unless `text`, which the template made of `turns`, has what each of them says."""
        for turn in turns:
            said = (turn.get("content") or "").strip()
            forms = (said, json.dumps(said, ensure_ascii=False)[1:-1], json.dumps(said)[1:-1], without_thinking(said))
            if not any(form in text for form in forms):
                raise unwritten(f"what a {turn['role']} says" if turn["role"] != "system" else "the system prompt")


def unwritten(what: str) -> DataError:
    """The error for what a template has no place for."""
    return DataError(
        f"The chat template does not write {what}, so a model would learn to answer without.",
        where=WHERE,
        allowed="a template that writes all that is said: for rows with tool calls also `tools` and `tool_calls`",
        todo="take a base model whose template has a place for it, set prompt.chat_template, or take it out of the "
        "rows and of prompt.system",
    )


def without_thinking(said: str) -> str:
    """An answer without its reasoning, which templates leave out of earlier turns."""
    return said.rpartition("</think>")[2].strip()


def template_of(tokenizer: Any, chosen: str) -> str:
    """The chat template: the recipe's, else the base model's own, of several the one named `default`, and for rows with
    tools the one named `tool_use`. Raises RecipeError.
    """
    own = chosen or tokenizer.chat_template
    if isinstance(own, dict):
        own = _one_of(own)
    if not own:
        raise RecipeError(
            "The base model has no chat template.", where=WHERE, todo="set prompt.chat_template, in Jinja"
        )
    return str(own)


def _one_of(named: dict[str, str]) -> str:
    default = named.get("default") or (next(iter(named.values())) if len(named) == 1 else "")
    if not default:
        raise RecipeError(
            f"The base model has several chat templates and none is its default: {', '.join(sorted(named))}.",
            where=WHERE,
            todo="set prompt.chat_template to the text of one of them",
        )
    tools = named.get("tool_use")
    choice = "{% if tools %}" + (tools or "").removesuffix("\n") + "{% else %}" + default.removesuffix("\n")
    return f"{choice}{{% endif %}}" if tools else default


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


# ---------------------------------------------------------------- control tokens in what people wrote

MARKED = re.compile("[\U000f0000\U000f0001]")  # transformers' marks around a control token that is text


def unmarked(text: str) -> str:
    """A text as it was before its control tokens were marked."""
    return MARKED.sub("", text)


def split_at_token(text: str, token: str) -> list[str]:
    """`text` in two at the first `token` that is the template's own and not somebody's text; else `text` alone."""
    return re.split(f"(?<!\U000f0000){re.escape(token)}", text, maxsplit=1)


@lru_cache(maxsize=MOST_TEMPLATES)
def _special(tokenizer: Any) -> re.Pattern[str]:
    return _any_of([t.content for t in tokenizer.added_tokens_decoder.values() if t.special])


@lru_cache(maxsize=MOST_TEMPLATES)
def _control(tokenizer: Any, template: str) -> re.Pattern[str]:
    """Not the blanks and line breaks that some tokenizers have among their added tokens: those are plain text."""
    added = tokenizer.added_tokens_decoder.values()
    return _any_of([t.content for t in added if t.special or (t.content in template and t.content.strip())])


def _any_of(tokens: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or "(?!)")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, part in value.items() if key != "role" for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _in_parts(turn: Turn) -> Turn:
    return {**turn, "content": [{"type": "text", "text": turn["content"]}]} if turn.get("content") else turn


@lru_cache(maxsize=MOST_TEMPLATES)
def _begins_with_blank(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a blank before a text, which it would not have in the middle of one."""
    line, letter, both = (tokenizer.encode(text, add_special_tokens=False) for text in ("\n", "x", "\nx"))
    return bool(line + letter != both)
