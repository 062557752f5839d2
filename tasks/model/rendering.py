"""A conversation as the text that a chat template makes of it, and a piece of that text as tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from tasks.core.errors import DataError, RecipeError
from tasks.core.row import Turn, with_arguments
from tasks.model.control_tokens import MARK, MOST_TOKENIZERS, mark, mark_turn, special_tokens

WHERE = "base model's chat template, or recipe: prompt.chat_template"
# The date that a template is told which writes today's: else the prompt would be another one each day, under the same
# digest. The code that serves a version travels with it, and so does this.
TODAY = date(2025, 1, 1)
# As a macro of the template, which hides transformers' function of that name: no function may be handed to a template.
_DIRECTIVES = ("-d", "-m", "-H", "-I", "-M", "-j", *"aAbBdHIjmMpSuwyY")
_WRITTEN = "".join(f".replace('%{one}', '{TODAY.strftime(f'%{one}')}')" for one in _DIRECTIVES)
_PINNED_DATE = "{% macro strftime_now(format) %}{{ format" + _WRITTEN + " }}{% endmacro %}{{ '' }}"
BAD = (TypeError, ValueError)  # what a template's own code fails with where it does not refuse in its own words


class Rendering:
    """A tokenizer with one chat template and the tools on offer."""

    def __init__(self, tokenizer: Any, template: str, tools: list[Any] | None = None, parts: bool = False) -> None:
        self._tokenizer, self._template, self._parts = tokenizer, template, parts
        self._dated = _PINNED_DATE + template if "strftime_now" in template else template
        self.tools = mark(tools, special_tokens(tokenizer)) if tools else None
        self._has_marks = self.tools != tools

    def marked(self, turns: Sequence[Turn]) -> list[Turn]:
        """`turns` with the control tokens in what people wrote marked as text (tasks/model/control_tokens.py)."""
        marked = [mark_turn(turn, self._tokenizer, self._template) for turn in turns]
        self._has_marks = self._has_marks or marked != list(turns)
        return marked

    def unmarked(self, text: str) -> str:
        """A rendered text as people wrote it. Who writes the very characters of a mark keeps them where none is set."""
        return MARK.sub("", text) if self._has_marks else text

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

    def answer_text(self, ids: Sequence[int]) -> str:
        """The text of an answer's ids, the reverse of `answer_tokens`."""
        before = self._encoded("\n") if _begins_with_blank(self._tokenizer) else []
        line, text = (self._decoded(some) for some in (before, [*before, *ids]))
        return text.removeprefix(line)

    def _decoded(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _encoded(self, text: str) -> list[int]:
        ids: list[int]
        if not self._has_marks or not MARK.search(text):
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


def _in_parts(turn: Turn) -> Turn:
    return {**turn, "content": [{"type": "text", "text": turn["content"]}]} if turn.get("content") else turn


@lru_cache(maxsize=MOST_TOKENIZERS)
def _begins_with_blank(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a blank before a text, which it would not have in the middle of one."""
    line, letter, both = (tokenizer.encode(text, add_special_tokens=False) for text in ("\n", "x", "\nx"))
    return bool(line + letter != both)
