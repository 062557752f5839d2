"""The prompt format: one and the same for training, evaluation and serving.

A conversation is rendered piece by piece: the text up to each assistant turn, then that turn with its stop token. Each
piece is tokenised on its own, here as there, so the tokens a model is trained on are exactly those it is prompted with,
and the loss can be laid on the assistant's tokens alone whatever the template (most templates carry no generation
markers). All this is for conversations and for a text and its label alike; of a preference pair it sees the prompt and
the chosen answer.

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
from tasks.core.row import name_of, with_arguments
from tasks.core.settings import Settings

Message = dict[str, Any]
WHERE = "base model's chat template, or recipe: prompt.chat_template"
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
    # Texts that end an answer, each one token of the model; empty takes the tokenizer's end-of-turn token.
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
    """The token ids that end an answer. Raises RecipeError for a stop text that is not one token, or when there is
    none.
    """
    if not prompt.stop:
        if tokenizer.eos_token_id is None:
            raise RecipeError(
                "The base model's tokenizer names no token that ends an answer.",
                where="recipe: prompt.stop",
                todo="set prompt.stop to the model's end-of-turn token",
            )
        return [int(tokenizer.eos_token_id)]
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
    return _answered(_Template(tokenizer, prompt, tools), turns[:end], taught)[0]


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
    turns = with_system_prompt(messages, prompt)
    template = _Template(tokenizer, prompt, tools)
    past, done = _answered(template, turns, [True] * len(turns))
    return past.input_ids + template.tokens(template.asked(turns, done))


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
    said, template = with_system_prompt(turns, prompt), _Template(tokenizer, prompt, tools)
    _, done = _answered(template, said[:-1], [True] * len(said))
    return template.called(said, done + template.asked(said[:-1], done))


def _answered(template: _Template, turns: list[Message], taught: list[bool]) -> tuple[TokenizedExample, str]:
    """`turns` up to the last assistant turn, as tokens, with labels on the turns that are taught, and as the text they
    are.
    """
    ids: list[int] = []
    labels: list[int] = []
    done = ""
    for i, turn in enumerate(turns):
        if turn["role"] == "assistant":
            asked = template.asked(turns[:i], done)
            said = template.called(turns[: i + 1], done + asked) if turn.get("tool_calls") else turn["content"]
            before = template.tokens(asked)
            answer = [*template.tokens(said), template.stop]
            ids += before + answer
            labels += [IGNORED] * len(before) + (answer if taught[i] else [IGNORED] * len(answer))
            done += asked + said + template.stop_text
    return TokenizedExample(ids, labels), done


class _Template:
    """A tokenizer with the chat template, the stop token and the tools of one row."""

    def __init__(self, tokenizer: Any, prompt: PromptSettings, tools: list[Any] | None = None) -> None:
        self._tokenizer, self._tools = tokenizer, _ordered(tools)
        self._template = prompt.chat_template or tokenizer.chat_template
        if not self._template:
            raise RecipeError(
                "The base model has no chat template.", where=WHERE, todo="set prompt.chat_template, in Jinja"
            )
        self.stop = stop_ids(tokenizer, prompt)[0]
        self.stop_text: str = tokenizer.decode([self.stop])

    def tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def asked(self, turns: list[Message], done: str) -> str:
        """What the template puts between the text `done` and the answer to `turns`."""
        text = self._text(turns, answering=True)
        if not done:
            self._check_named(text, self._tools or (), "the tools on offer")
        if not text.startswith(done):
            raise DataError(
                "The chat template writes earlier turns differently once a later one follows, so a row cannot be cut "
                "into "
                "turns.",
                where=WHERE,
                allowed="a template whose text for n turns, with the stop text, begins the text for n + 1 turns",
                todo="set prompt.stop to the text with which the template ends a turn, or set prompt.chat_template, "
                "or train "
                "on single-turn rows",
            )
        return text[len(done) :]

    def called(self, turns: list[Message], done: str) -> str:
        """How the template writes the last of `turns`, which has tool calls, after the text `done`."""
        text = self._text(turns, answering=False)
        said = text[len(done) :].split(self.stop_text)[0] if text.startswith(done) else ""
        self._check_named(said, turns[-1]["tool_calls"], "an assistant's tool calls")
        if turns[-1]["content"].strip() not in said:
            raise _unwritten("what an assistant says beside its tool calls")
        return said

    def _check_named(self, text: str, functions: Sequence[Any], what: str) -> None:
        """Raise DataError when `text` does not have the name of each function: the template has no place for it."""
        if not all(name_of(function) in text for function in functions):
            raise _unwritten(what)

    def _text(self, turns: list[Message], answering: bool) -> str:
        """The arguments of calls as values, which most templates write as JSON; as text where one
        can only join texts.
        """
        from jinja2 import TemplateError

        try:
            try:
                return self._rendered([with_arguments(turn) for turn in turns], answering)
            except TypeError:
                return self._rendered(turns, answering)
        except (TemplateError, TypeError) as error:
            raise DataError(
                f"The chat template refuses a conversation of {', '.join(t['role'] for t in turns) or 'no turn'}: "
                f"{error}",
                where=WHERE,
                allowed="for most templates: user and assistant in turn, after at most one system prompt",
                todo="filter such rows out, or set prompt.chat_template",
            ) from error

    def _rendered(self, turns: list[Message], answering: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(
            turns, tools=self._tools, chat_template=self._template, tokenize=False, add_generation_prompt=answering
        )
        return text


def _ordered(value: Any) -> Any:
    """JSON with the keys of objects in one order, OpenAI's first: a request's tools must be the very prompt that rows
    made.
    """
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (KEYS.index(key) if key in KEYS else len(KEYS), str(key)))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(part) for part in value] if isinstance(value, list) else value


def _unwritten(what: str) -> DataError:
    return DataError(
        f"The chat template does not write {what}, so a model would learn to answer without.",
        where=WHERE,
        allowed="for rows with tool calls, a template that writes `tools` and `tool_calls`",
        todo="take a base model whose template knows tools, set prompt.chat_template, or take these rows out",
    )
