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
from tasks.core.settings import Settings
from tasks.model.prompt_pieces import PromptPieces
from tasks.model.rendering import Rendering, template_of
from tasks.model.turn_form import turn_form

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
    rendering, made = _pieces(tokenizer, prompt, tools)
    ids: list[int] = []
    labels: list[int] = []
    for piece in made.of_row(rendering.marked(turns[:end])):
        tokens = made.tokens(piece)
        learnt = piece.learnable and piece.turn is not None and taught[piece.turn]
        ids += tokens
        labels += tokens if learnt else [IGNORED] * len(tokens)
    return TokenizedExample(ids, labels)


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
    rendering, made = _pieces(tokenizer, prompt, tools)
    turns = rendering.marked(with_system_prompt(messages, prompt))
    return [token for piece in made.of_prompt(turns) for token in made.tokens(piece)]


def prompt_ids_after(
    tokenizer: Any,
    examples: Sequence[Message],
    messages: Sequence[Message],
    prompt: PromptSettings,
    tools: list[Any] | None = None,
) -> list[int]:
    """As prompt_ids, with solved examples before the question: as turns, or as text in its first turn where the
    template takes no earlier turns.
    """
    system = 1 if messages and messages[0]["role"] == "system" else 0  # a row's own stays in front of the examples
    own, asked = messages[:system], messages[system:]
    try:
        return prompt_ids(tokenizer, [*own, *examples, *asked], prompt, tools)
    except DataError:
        if not examples or not asked:
            raise
        return prompt_ids(tokenizer, [*own, *_in_one_turn(examples, asked)], prompt, tools)


def _in_one_turn(examples: Sequence[Message], asked: Sequence[Message]) -> list[Message]:
    """`asked` with solved examples as text in its first turn, for a template that takes no earlier turns."""
    shown = "\n\n".join(f"{turn['role']}: {turn['content'] or ''}" for turn in examples)
    first, *rest = asked
    return [{**first, "content": f"Examples:\n\n{shown}\n\nNow answer:\n\n{first['content'] or ''}"}, *rest]


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
    rendering, made = _pieces(tokenizer, prompt, tools)
    said = rendering.marked(with_system_prompt(turns, prompt))
    return rendering.unmarked(made.called(said, made.asked(said[:-1])))


def _pieces(tokenizer: Any, prompt: PromptSettings, tools: list[Any] | None) -> tuple[Rendering, PromptPieces]:
    template = template_of(tokenizer, prompt.chat_template)
    form = turn_form(tokenizer, template)
    rendering = Rendering(tokenizer, template, _ordered(tools), form.parts)
    stop = stop_ids(tokenizer, prompt)[0]
    return rendering, PromptPieces(rendering, form, stop, tokenizer.decode([stop], clean_up_tokenization_spaces=False))


def _ordered(value: Any) -> Any:
    """JSON with the keys of objects in one order, OpenAI's first: a request's tools must be the very prompt that rows
    made.
    """
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (KEYS.index(key) if key in KEYS else len(KEYS), str(key)))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(part) for part in value] if isinstance(value, list) else value
