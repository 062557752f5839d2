"""The prompt format: one and the same for training, evaluation and serving.

A conversation is rendered as a whole up to its last answer, and cut at the answers in it: the text up to each assistant
turn, then that turn with its stop token. Each piece is tokenised on its own, here as there, so the tokens a model is
trained on are exactly those it is prompted with, and the loss can be laid on the assistant's tokens alone whatever the
template (most templates carry no generation markers). All this is for conversations and for a text and its label alike;
of a preference pair it sees the prompt and the chosen answer.

An earlier answer that the template writes in another way once a later turn follows (without its reasoning, say) is read
as the template writes it, and not learnt: nobody is prompted so.

How a tool call is written is the template's to say: an assistant turn with calls is what it puts there up to the stop
token, and is learnt as an answer is; a tool's answer is read. A template that leaves out calls or tools is refused,
never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from tasks.core.errors import DataError, RecipeError
from tasks.core.row import name_of
from tasks.core.settings import Settings
from tasks.model.rendering import (
    WHERE,
    Rendering,
    split_at_token,
    template_of,
    turn_form,
    unmarked,
    unwritten,
    without_thinking,
)

Message = dict[str, Any]
KEYS = ("type", "function", "name", "description", "parameters")  # of a tool, as OpenAI and most templates write them
ASKING = ("user", "tool")  # whose turn an answer follows
IGNORED = -100  # the label PyTorch's cross entropy leaves out


class PromptSettings(Settings):
    """What surrounds every message. A served model carries these values; changing one makes another model."""

    # The system prompt; replaces a row's own, so that rows from three exports train one format. Empty: rows keep
    # theirs.
    system: str = ""
    # A Jinja chat template; empty takes the base model's own, which its pretraining has seen.
    chat_template: str = ""
    # Texts that end an answer, each one token of the model; empty takes the token with which the template ends a turn,
    # or the tokenizer's where it writes none. The base model's own (generation_config.json) end one too.
    stop: tuple[str, ...] = ()
    # An answer that reaches this length is cut, and recorded as cut.
    max_new_tokens: int = Field(default=256, ge=1, le=32_768)


@dataclass(frozen=True)
class TokenizedExample:
    """A tokenised conversation. labels: input_ids where the loss counts, IGNORED elsewhere; same length."""

    input_ids: list[int]
    labels: list[int]


def with_system_prompt(messages: Sequence[Message], prompt: PromptSettings) -> list[Message]:
    """The messages as the model sees them: with the recipe's system prompt in the place of a row's own."""
    plain = [{**m, "content": m["content"] or ""} for m in messages]
    if not prompt.system:
        return plain
    return [{"role": "system", "content": prompt.system}, *(m for m in plain if m["role"] != "system")]


def question(messages: Sequence[Message]) -> list[Message]:
    """The messages before the last assistant turn: what is asked when a row is evaluated."""
    last = max((i for i, m in enumerate(messages) if m["role"] == "assistant"), default=len(messages))
    return list(messages[:last])


def expected(messages: Sequence[Message]) -> str:
    """The last assistant turn: the answer a row wants; empty when it has none."""
    return next((m["content"] for m in reversed(messages) if m["role"] == "assistant"), "")


def stop_ids(tokenizer: Any, prompt: PromptSettings) -> list[int]:
    """The token ids that end an answer; an answer is taught to end with the first. Raises RecipeError for a stop text
    that is not one token, or when there is none.
    """
    if not prompt.stop:
        return [_own_end(tokenizer, prompt)]
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in prompt.stop]
    for text, encoded in zip(prompt.stop, ids, strict=True):
        if len(encoded) != 1:
            raise RecipeError(
                f"The stop text {text!r} is {len(encoded)} tokens of this model.",
                where="recipe: prompt.stop",
                allowed="texts that are one token, usually special tokens",
                todo="name the model's end-of-turn token, or leave it out",
            )
    return [encoded[0] for encoded in ids]


def _own_end(tokenizer: Any, prompt: PromptSettings) -> int:
    """What the chat template ends a turn with. The tokenizer's end of text is another token in many base models."""
    written = prompt.chat_template or tokenizer.chat_template
    end = turn_form(tokenizer, template_of(tokenizer, prompt.chat_template)).end if written else ""
    if not end and tokenizer.eos_token_id is None:
        raise RecipeError(
            "Neither the chat template nor the base model's tokenizer names a token that ends an answer.",
            where="recipe: prompt.stop",
            todo="set prompt.stop to the model's end-of-turn token",
        )
    return int(tokenizer.convert_tokens_to_ids(end) if end else tokenizer.eos_token_id)


def encode(
    tokenizer: Any,
    messages: Sequence[Message],
    prompt: PromptSettings,
    weights: Sequence[float] | None = None,
    tools: list[Any] | None = None,
) -> TokenizedExample:
    """Tokenise a training row; the loss counts on every assistant turn that teaches and its stop token, nowhere else.

    messages, tools: as tasks/data/formats/tool_calls.py has them of a row. weights: one a message
    (tasks/core/ledger.py); an assistant turn of weight 0 is read and not learnt. None: all teach. What follows the last
    turn that teaches is left out; of a row in which none does, nothing is left. Raises DataError for a row the template
    cannot render.
    """
    turns = with_system_prompt(messages, prompt)
    taught = _teaching(messages, turns, weights)
    end = max((i + 1 for i, teaches in enumerate(taught) if teaches), default=0)
    if not end:
        return TokenizedExample([], [])
    template = _Template(tokenizer, prompt, tools)
    return template.example(template.marked(turns[:end]), taught)


def _teaching(messages: Sequence[Message], turns: list[Message], weights: Sequence[float] | None) -> list[bool]:
    """For each turn of a conversation made of `messages`, whether it is to be learnt."""
    given = [1.0] * len(messages) if weights is None else weights
    answers = (weight > 0 for said, weight in zip(messages, given, strict=True) if said["role"] == "assistant")
    return [turn["role"] == "assistant" and next(answers) for turn in turns]


def prompt_ids(
    tokenizer: Any, messages: Sequence[Message], prompt: PromptSettings, tools: list[Any] | None = None
) -> list[int]:
    """The tokens a model is given to answer `messages`: exactly those that stand before this answer
    in a training row.
    """
    template = _Template(tokenizer, prompt, tools)
    pieces = template.pieces(template.marked(with_system_prompt(messages, prompt)))
    return [token for piece in pieces for token in template.tokens(piece)]


def check_room(tokens: int, context: int | None, prompt: PromptSettings, todo: str = "ask with less text") -> None:
    """Raise DataError for a prompt of so many tokens that leaves an answer no room. context: what the model was made
    for, in tokens; None where it names no limit. todo: for who asks.
    """
    if context and tokens + prompt.max_new_tokens > context:
        raise DataError(
            f"A prompt of {tokens:,} tokens leaves no room for an answer of {prompt.max_new_tokens:,} "
            f"(prompt.max_new_tokens): "
            f"the model was made for {context:,} tokens in all.",
            where="prompt",
            allowed=f"at most {max(0, context - prompt.max_new_tokens):,} tokens in a prompt, the template's own "
            f"among them",
            todo=todo,
        )


def written_calls(tokenizer: Any, turns: Sequence[Message], prompt: PromptSettings, tools: list[Any] | None) -> str:
    """What the template writes, and a model learns, for the last of `turns`, which has tool calls. Raises DataError."""
    template = _Template(tokenizer, prompt, tools)
    said = template.marked(with_system_prompt(turns, prompt))
    return unmarked(template.called(said, template.asked(said[:-1])))


@dataclass(frozen=True)
class _Piece:
    """A part of a rendered prompt. turn: the number of the answer that it is, with which its stop token goes; None of
    what stands between answers. learnable: it is written as the model would be prompted for it.
    """

    text: str
    turn: int | None = None
    learnable: bool = False
    first: bool = False


class _Template:
    """A tokenizer with the chat template, the stop token and the tools of one row. It takes turns that are marked."""

    def __init__(self, tokenizer: Any, prompt: PromptSettings, tools: list[Any] | None = None) -> None:
        template = template_of(tokenizer, prompt.chat_template)
        self._form = turn_form(tokenizer, template)
        self._rendering = Rendering(tokenizer, template, _ordered(tools), self._form.parts)
        self.stop = stop_ids(tokenizer, prompt)[0]
        self.stop_text: str = tokenizer.decode([self.stop], clean_up_tokenization_spaces=False)

    def marked(self, turns: list[Message]) -> list[Message]:
        return self._rendering.marked(turns)

    def example(self, turns: list[Message], taught: list[bool]) -> TokenizedExample:
        """`turns`, the last of which is an answer, as tokens, with labels on the answers that are taught."""
        pieces = self.pieces(turns[:-1])
        pieces.append(_Piece(self.said(turns, "".join(self._written(piece) for piece in pieces)), len(turns) - 1, True))
        ids: list[int] = []
        labels: list[int] = []
        for piece in pieces:
            tokens = self.tokens(piece)
            learnt = piece.learnable and piece.turn is not None and taught[piece.turn]
            ids += tokens
            labels += tokens if learnt else [IGNORED] * len(tokens)
        return TokenizedExample(ids, labels)

    def _written(self, piece: _Piece) -> str:
        return piece.text if piece.turn is None else piece.text + self.stop_text

    def tokens(self, piece: _Piece) -> list[int]:
        if piece.turn is not None:
            return [*self._rendering.answer_tokens(piece.text), self.stop]
        return self._rendering.tokens(piece.text, "" if piece.first else self.stop_text)

    def asked(self, turns: list[Message]) -> str:
        """What the template makes of `turns` up to the answer. Raises DataError where it leaves something out."""
        text = self._rendering.text(turns, answering=True)
        self._check_named(text, self._rendering.tools or (), "the tools on offer")
        self._rendering.check_written([turn for turn in turns if turn["role"] != "assistant"], text)
        return text

    def pieces(self, turns: list[Message]) -> list[_Piece]:
        """The prompt to answer `turns`, cut at those answers in it that a shorter prompt stands before."""
        text = self.asked(turns)
        pieces: list[_Piece] = []
        at = 0
        for i, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            before = self._before(turns[:i], text)
            if before is None or len(before) < at:
                self._rendering.check_written([turn], text)
                continue
            said, learnable = self._found(turns[: i + 1], before, text[len(before) :])
            pieces += [_Piece(text[at : len(before)], first=not at), _Piece(said, i, learnable)]
            at = len(before) + len(said) + len(self.stop_text)
        return [*pieces, _Piece(text[at:], first=not at)]

    def _before(self, turns: list[Message], text: str) -> str | None:
        """The prompt to answer `turns`; None where the longer prompt `text` does not begin with it."""
        before = self._rendering.text(turns, answering=True) if turns else ""
        return before if before and text.startswith(before) else None

    def _found(self, turns: list[Message], before: str, rest: str) -> tuple[str, bool]:
        """The last of `turns` as it stands at the start of `rest`, and whether a model is taught to say it so."""
        said = self.said(turns, before)
        if rest.startswith(said + self.stop_text):
            return said, True
        written, *more = split_at_token(rest, self.stop_text)
        if not more or not written.strip() or written.strip() not in (turns[-1]["content"] or ""):
            raise DataError(
                "The chat template writes earlier turns differently once a later one follows, so a row cannot be cut "
                "into turns.",
                where=WHERE,
                allowed="a template whose text for n turns, with the stop text, begins the text for n + 1 turns",
                todo="set prompt.stop to the text with which the template ends a turn, or set prompt.chat_template, "
                "or train on single-turn rows",
            )
        return written, False

    def said(self, turns: list[Message], before: str) -> str:
        """What the model is taught to say for the last of `turns`, after the prompt `before`: its content, with the
        white space that the template puts around it, or takes away.
        """
        turn, form = turns[-1], self._form
        if turn.get("tool_calls"):
            return self.called(turns, before)
        said: str = turn["content"]
        odd = said != said.strip() or form.lead.strip()
        return (self._asked_of_template(turns, before) if odd else None) or form.lead + said + form.trail

    def _asked_of_template(self, turns: list[Message], before: str) -> str | None:
        """How the template writes the last of `turns`: with a question behind it, else as the end of all."""
        core = without_thinking(turns[-1]["content"])
        for talk in ([*turns, {"role": "user", "content": "?"}], turns):
            try:
                text = self._rendering.text(talk, answering=False)
            except DataError:
                continue
            written = split_at_token(text.removeprefix(before), self.stop_text)[0]
            lead = written[: max(0, written.find(core))]
            if text.startswith(before) and core in written and (self._form.lead.strip() or not lead.strip()):
                return written
        return None

    def called(self, turns: list[Message], before: str) -> str:
        """How the template writes the last of `turns`, which has tool calls, after the prompt `before`."""
        text = self._rendering.text(turns, answering=False)
        said = split_at_token(text[len(before) :], self.stop_text)[0] if text.startswith(before) else ""
        self._check_named(said, turns[-1]["tool_calls"], "an assistant's tool calls")
        if turns[-1]["content"].strip() not in said:
            raise unwritten("what an assistant says beside its tool calls")
        return said

    def _check_named(self, text: str, functions: Sequence[Any], what: str) -> None:
        """Raise DataError when `text` does not have the name of each function: the template has no place for it."""
        if not all(name_of(function) in text for function in functions):
            raise unwritten(what)


def _ordered(value: Any) -> Any:
    """JSON with the keys of objects in one order, OpenAI's first: a request's tools must be the very prompt that rows
    made.
    """
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (KEYS.index(key) if key in KEYS else len(KEYS), str(key)))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(part) for part in value] if isinstance(value, list) else value
