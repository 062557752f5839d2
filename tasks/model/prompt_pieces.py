"""A rendered prompt, cut at the answers in it, so that each piece is tokenised by itself in training as in serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import DataError
from tasks.core.row import Turn, name_of
from tasks.model.control_tokens import split_at_token
from tasks.model.rendering import WHERE, Rendering, unwritten, without_thinking
from tasks.model.turn_form import PROBES, TurnForm

FOLLOW_UP = PROBES[2]  # a question that nobody asks


@dataclass(frozen=True)
class Piece:
    """A part of a rendered prompt. turn: the number of the answer that it is, with which its stop token goes; None of
    what stands between answers. learnable: it is written as the model would be prompted for it.
    """

    text: str
    turn: int | None = None
    learnable: bool = False
    first: bool = False


class PromptPieces:
    """Conversations with the same tools on offer, as pieces. It takes turns that are marked."""

    def __init__(self, rendering: Rendering, form: TurnForm, stop: int, stop_text: str) -> None:
        """stop, stop_text: the token with which an answer ends."""
        self._rendering, self._form, self._stop, self._stop_text = rendering, form, stop, stop_text

    def of_row(self, turns: list[Turn]) -> list[Piece]:
        """A conversation that ends with an answer. Raises DataError as `of_prompt`."""
        pieces = self.of_prompt(turns[:-1])
        asked = "".join(piece.text if piece.turn is None else piece.text + self._stop_text for piece in pieces)
        return [*pieces, Piece(self.said(turns, asked), len(turns) - 1, learnable=True)]

    def tokens(self, piece: Piece) -> list[int]:
        """A piece's ids, of an answer with its stop token."""
        if piece.turn is not None:
            return [*self._rendering.answer_tokens(piece.text), self._stop]
        return self._rendering.tokens(piece.text, "" if piece.first else self._stop_text)

    def asked(self, turns: list[Turn]) -> str:
        """What the template makes of `turns` up to the answer. Raises DataError where it leaves something out."""
        text = self._rendering.text(turns, answering=True)
        self._check_named(text, self._rendering.tools or (), "the tools on offer")
        self._rendering.check_written([turn for turn in turns if turn["role"] != "assistant"], text)
        return text

    def of_prompt(self, turns: list[Turn]) -> list[Piece]:
        """The prompt to answer `turns`, cut at those answers in it that a shorter prompt stands before. Raises
        DataError for turns that the template refuses, or leaves out.
        """
        text = self.asked(turns)
        pieces: list[Piece] = []
        at = 0
        for i, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            before = self._before(turns[:i], text)
            found = self._found(turns[: i + 1], before, text[len(before) :]) if before and len(before) >= at else None
            if before is None or found is None:
                self._check_kept(turn, text)
                continue
            said, learnable = found
            pieces += [Piece(text[at : len(before)], first=not at), Piece(said, i, learnable)]
            at = len(before) + len(said) + len(self._stop_text)
        return [*pieces, Piece(text[at:], first=not at)]

    def _before(self, turns: list[Turn], text: str) -> str | None:
        """The prompt to answer `turns`; None where the longer prompt `text` does not begin with it."""
        before = self._rendering.text(turns, answering=True) if turns else ""
        return before if before and text.startswith(before) else None

    def _found(self, turns: list[Turn], before: str, rest: str) -> tuple[str, bool] | None:
        """The last of `turns` as it stands at the start of `rest`, and whether a model is taught to say it so; None
        where it does not end there as a model's answer does.
        """
        said = self.said(turns, before)
        if rest.startswith(said + self._stop_text):
            return said, True
        written, *more = split_at_token(rest, self._stop_text)
        core = written.strip()
        return (written, False) if more and core and core in (turns[-1]["content"] or "") else None

    def _check_kept(self, turn: Turn, text: str) -> None:
        """Raise DataError unless an earlier answer stands in `text`, and the recipe's stop token is not why it is not
        found: it may be read, without its reasoning, and cannot be learnt.
        """
        kept = without_thinking(turn["content"] or "") in text
        if not kept or turn.get("tool_calls") or self._form.end not in ("", self._stop_text):
            raise DataError(
                "The chat template writes earlier turns differently once a later one follows, so a row cannot be cut "
                "into turns.",
                where=WHERE,
                allowed="a template whose text for n turns, with the stop text, begins the text for n + 1 turns",
                todo="set prompt.stop to the text with which the template ends a turn, or set prompt.chat_template, "
                "or train on single-turn rows",
            )

    def said(self, turns: list[Turn], before: str) -> str:
        """What the model is taught to say for the last of `turns`, after the prompt `before`: its content, with the
        white space that the template puts around it, or takes away.
        """
        turn, form = turns[-1], self._form
        if turn.get("tool_calls"):
            return self.called(turns, before)
        said: str = turn["content"]
        odd = said != said.strip() or form.lead.strip()
        return (self._asked_of_template(turns, before) if odd else None) or form.lead + said + form.trail

    def _asked_of_template(self, turns: list[Turn], before: str) -> str | None:
        """How the template writes the last of `turns`: with a question behind it, else as the end of all."""
        core = without_thinking(turns[-1]["content"])
        for talk in ([*turns, {"role": "user", "content": FOLLOW_UP}], turns):
            try:
                text = self._rendering.text(talk, answering=False)
            except DataError:
                continue
            written = split_at_token(text.removeprefix(before), self._stop_text)[0]
            lead = written[: max(0, written.find(core))]
            ends = core in written and FOLLOW_UP not in written
            if ends and text.startswith(before) and (self._form.lead.strip() or not lead.strip()):
                return written
        return None

    def called(self, turns: list[Turn], before: str) -> str:
        """How the template writes the last of `turns`, which has tool calls, after the prompt `before`."""
        text = self._rendering.text(turns, answering=False)
        said = split_at_token(text[len(before) :], self._stop_text)[0] if text.startswith(before) else ""
        self._check_named(said, turns[-1]["tool_calls"], "an assistant's tool calls")
        if turns[-1]["content"].strip() not in said:
            raise unwritten("what an assistant says beside its tool calls")
        return said

    def _check_named(self, text: str, functions: Sequence[Any], what: str) -> None:
        """Raise DataError when `text` does not have the name of each function: the template has no place for it."""
        if not all(name_of(function) in text for function in functions):
            raise unwritten(what)
