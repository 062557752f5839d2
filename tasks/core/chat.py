"""The prompt format: one and the same for training, evaluation and serving.

A conversation is rendered piece by piece: the text up to each assistant turn, then that turn with its stop token. Each piece is
tokenised on its own, here as there, so the tokens a model is trained on are exactly those it is prompted with, and the loss can
be laid on the assistant's tokens alone whatever the template (most templates carry no generation markers). All this is for
conversations and for a text and its label alike; of a preference pair it sees the prompt and the chosen answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from tasks.core.errors import DataError, RecipeError
from tasks.core.settings import Settings

Message = dict[str, str]
IGNORED = -100  # the label PyTorch's cross entropy leaves out


class PromptSettings(Settings):
    """What surrounds every message. A served model carries these values; changing one makes another model."""

    # The system prompt; replaces a row's own, so that rows from three exports train one format. Empty: rows keep theirs.
    system: str = ""
    # A Jinja chat template; empty takes the base model's own, which its pretraining has seen.
    chat_template: str = ""
    # Texts that end an answer, each one token of the model; empty takes the tokenizer's end-of-turn token.
    stop: tuple[str, ...] = ()
    # An answer that reaches this length is cut, and recorded as cut.
    max_new_tokens: int = Field(default=256, ge=1, le=32_768)


@dataclass(frozen=True)
class Example:
    """A tokenised conversation. labels: input_ids where the loss counts, IGNORED elsewhere; same length."""

    input_ids: list[int]
    labels: list[int]


def conversation(messages: Sequence[Message], prompt: PromptSettings) -> list[Message]:
    """The messages as the model sees them: with the recipe's system prompt in the place of a row's own."""
    plain = [{"role": m["role"], "content": m["content"] or ""} for m in messages]
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
    """The token ids that end an answer. Raises RecipeError for a stop text that is not one token, or when there is none."""
    if not prompt.stop:
        if tokenizer.eos_token_id is None:
            raise RecipeError(
                "The base model's tokenizer names no token that ends an answer.", where="recipe: prompt.stop",
                todo="set prompt.stop to the model's end-of-turn token",
            )  # fmt: skip
        return [int(tokenizer.eos_token_id)]
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in prompt.stop]
    for text, encoded in zip(prompt.stop, ids, strict=True):
        if len(encoded) != 1:
            raise RecipeError(
                f"The stop text {text!r} is {len(encoded)} tokens of this model.", where="recipe: prompt.stop",
                allowed="texts that are one token, usually special tokens",
                todo="name the model's end-of-turn token, or leave it out",
            )  # fmt: skip
    return [encoded[0] for encoded in ids]


def encode(
    tokenizer: Any, messages: Sequence[Message], prompt: PromptSettings, weights: Sequence[float] | None = None
) -> Example:
    """Tokenise a training row; the loss counts on every assistant turn that teaches and its stop token, nowhere else.

    weights: of a row (tasks/core/ledger.py), one a message; an assistant turn of weight 0 is read and not learnt. None:
    all teach. What follows the last turn that teaches is left out; of a row in which none does, nothing is left. Raises
    DataError for a row the template cannot render.
    """
    turns = conversation(messages, prompt)
    taught = _teaching(messages, turns, weights)
    end = max((i + 1 for i, teaches in enumerate(taught) if teaches), default=0)
    return _answered(tokenizer, turns[:end], prompt, taught)[0]


def _teaching(messages: Sequence[Message], turns: list[Message], weights: Sequence[float] | None) -> list[bool]:
    """For each turn of a conversation made of `messages`, whether it is to be learnt."""
    given = [1.0] * len(messages) if weights is None else weights
    answers = (weight > 0 for said, weight in zip(messages, given, strict=True) if said["role"] == "assistant")
    return [turn["role"] == "assistant" and next(answers) for turn in turns]


def prompt_ids(tokenizer: Any, messages: Sequence[Message], prompt: PromptSettings) -> list[int]:
    """The tokens a model is given to answer `messages`: exactly those that stand before this answer in a training row."""
    turns = conversation(messages, prompt)
    past, done = _answered(tokenizer, turns, prompt, [True] * len(turns))
    return past.input_ids + _tokens(tokenizer, _text(tokenizer, turns, prompt, done))


def _answered(
    tokenizer: Any, turns: list[Message], prompt: PromptSettings, taught: list[bool]
) -> tuple[Example, str]:
    """`turns` up to the last assistant turn, as tokens, with labels on the turns that are taught, and as the text they are."""
    stop = stop_ids(tokenizer, prompt)[0]
    ids: list[int] = []
    labels: list[int] = []
    done = ""
    for i, turn in enumerate(turns):
        if turn["role"] == "assistant":
            asked = _text(tokenizer, turns[:i], prompt, done)
            before = _tokens(tokenizer, asked)
            answer = [*_tokens(tokenizer, turn["content"]), stop]
            ids += before + answer
            labels += [IGNORED] * len(before) + (answer if taught[i] else [IGNORED] * len(answer))
            done += asked + turn["content"] + tokenizer.decode([stop])
    return Example(ids, labels), done


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _text(tokenizer: Any, turns: list[Message], prompt: PromptSettings, done: str) -> str:
    """What the template puts between the text `done` and the answer to `turns`."""
    from jinja2 import TemplateError

    where = "base model's chat template, or recipe: prompt.chat_template"
    template = prompt.chat_template or tokenizer.chat_template
    if not template:
        raise RecipeError("The base model has no chat template.", where=where, todo="set prompt.chat_template, in Jinja")
    try:
        text: str = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise DataError(
            f"The chat template refuses a conversation of {', '.join(t['role'] for t in turns) or 'no turn'}: {error}",
            where=where, allowed="for most templates: user and assistant in turn, after at most one system prompt",
            todo="filter such rows out, or set prompt.chat_template",
        ) from error  # fmt: skip
    if not text.startswith(done):
        raise DataError(
            "The chat template writes earlier turns differently once a later one follows, so a row cannot be cut into turns.",
            where=where, allowed="a template whose text for n turns, with the stop text, begins the text for n + 1 turns",
            todo="set prompt.stop to the text with which the template ends a turn, or set prompt.chat_template, or train on "
            "single-turn rows",
        )  # fmt: skip
    return text[len(done) :]
