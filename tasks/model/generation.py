"""Answers from a model, the one way that evaluation, registration and serving all use.

Greedy, in the order of prompt length, with the tokens that every prompt begins with (system prompt, few-shot examples)
computed once and shared, where the model's attention allows it (tasks/model/padding.py): with a few-shot prompt that is
most of the work. Greedy decoding of the same prompt gives the same text; the sums inside a matrix product may round
differently for another batch size, which can only matter where two tokens tie to within about 1e-5, so registration
checks real answers again (tasks/release/register.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from tasks.core.text.trimmed import trimmed
from tasks.model.chat_template import Message, PromptSettings, prompt_ids_after, stop_ids
from tasks.model.loading import load_tokenizer, load_weights
from tasks.model.padding import padding_place
from tasks.model.rendering import Rendering, template_of
from tasks.model.tool_call_syntax import CallForm, call_form, read_answer
from tasks.model.turn_form import turn_form

BATCH = 32  # rows decoded together; past this a CPU gains nothing and memory grows


@dataclass(frozen=True)
class Answer:
    """One generated answer. stopped: the model ended it itself; False means it was cut at max_new_tokens.

    text: what it says. calls: beside it, the JSON list of its tool calls in OpenAI's form; None without any.
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    stopped: bool
    calls: str | None = None


class Generator:
    """A base model, with or without an adapter, that answers conversations in one prompt format."""

    def __init__(self, model: Any, tokenizer: Any, prompt: PromptSettings, examples: Sequence[Message] = ()) -> None:
        """examples: user and assistant turns put before every question (few-shot)."""
        from transformers import GenerationConfig

        self.model, self.tokenizer, self.prompt, self.examples = model.eval(), tokenizer, prompt, list(examples)
        own = model.generation_config.eos_token_id if model.can_generate() else None
        self.stop = [*dict.fromkeys([*stop_ids(tokenizer, prompt), *_listed(own)])]
        template = template_of(tokenizer, prompt.chat_template)
        self._rendering, self._padded = Rendering(tokenizer, template), padding_place(model)
        self._lead = turn_form(tokenizer, template).lead
        # In the place of the base model's own: its repetition penalty, made for chat, would also see the padding.
        self.model.generation_config = GenerationConfig(
            do_sample=False, max_new_tokens=prompt.max_new_tokens, eos_token_id=self.stop, pad_token_id=self.stop[0]
        )

    def answer(
        self,
        questions: Sequence[Sequence[Message]],
        on_batch: Callable[[float], None] = lambda _fraction: None,
        tools: Sequence[list[Any] | None] | None = None,
    ) -> list[Answer]:
        """One answer a question, in the order given. questions: turns (tasks/data/formats/tool_calls.py) that end with
        a user's or a tool's.

        on_batch: called with the share of questions answered, 0 to 1. tools: on offer for each question; only where
        there are some is an answer read for calls. Raises DataError for tools or calls that the chat template cannot
        write.
        """
        tools = tools or [None] * len(questions)
        prompts = [self.prompt_ids(messages, offer) for messages, offer in zip(questions, tools, strict=True)]
        shared = _common_prefix(prompts) if self._padded == "between" else 0
        cache = self._prefill(prompts[0][:shared]) if shared else None
        answers: dict[int, Answer] = {}
        for batch in _batches([len(prompt) for prompt in prompts], equal=self._padded == "nowhere"):
            texts = self._decode([prompts[i] for i in batch], cache)
            answers |= dict(zip(batch, texts, strict=True))
            on_batch(len(answers) / len(prompts))
        return [self._called(answers[i], questions[i]) if tools[i] else answers[i] for i in range(len(prompts))]

    @cached_property
    def _form(self) -> CallForm:
        return call_form(self.tokenizer, self.prompt)

    def _called(self, answer: Answer, asked: Sequence[Message]) -> Answer:
        found = read_answer(self._form, answer.text, asked)
        return answer if found is None else replace(answer, text=found[0], calls=found[1])

    def prompt_ids(self, messages: Sequence[Message], tools: list[Any] | None = None) -> list[int]:
        """The tokens that the model is given to answer `messages`. Raises DataError as `answer` does."""
        return prompt_ids_after(self.tokenizer, self.examples, messages, self.prompt, tools)

    def _prefill(self, ids: list[int]) -> Any:
        import torch

        with torch.inference_mode():
            given = torch.tensor([ids], device=self.model.device)
            return self.model(given, use_cache=True, logits_to_keep=1).past_key_values

    def _decode(self, prompts: list[list[int]], cache: Any) -> list[Answer]:
        import torch

        longest = max(map(len, prompts))
        shared = cache.get_seq_length() if cache is not None else 0
        pad = self.stop[0]
        # Padding goes between the shared prefix and the rest of each prompt, so that the prefix can come from the
        # cache; without such a prefix it stands on the left.
        ids = [[*p[:shared], *[pad] * (longest - len(p)), *p[shared:]] for p in prompts]
        mask = [[1] * shared + [0] * (longest - len(p)) + [1] * (len(p) - shared) for p in prompts]
        past = copy.deepcopy(cache)
        if past is not None:
            past.batch_repeat_interleave(len(prompts))
        with torch.inference_mode():
            out = self.model.generate(
                torch.tensor(ids, device=self.model.device),
                attention_mask=torch.tensor(mask, device=self.model.device),
                past_key_values=past,
            )
        return [self._read(row[longest:].tolist(), len(p)) for row, p in zip(out, prompts, strict=True)]

    def _read(self, ids: list[int], prompt_tokens: int) -> Answer:
        end = next((i for i, token in enumerate(ids) if token in self.stop), None)
        text = self._rendering.answer_text(ids[:end])
        return Answer(_without_lead(text, self._lead), prompt_tokens, len(ids) if end is None else end, end is not None)


def _without_lead(text: str, lead: str) -> str:
    """An answer without what the template puts before each one, and without empty lines and blanks around it; its
    first line may be indented, as code and lists are.
    """
    bare = text.lstrip()
    if lead and text.startswith(lead):
        text = text[len(lead) :]
    elif lead.strip() and bare.startswith(lead.strip()):
        text = bare[len(lead.strip()) :]
    return trimmed(text)


def _listed(value: Any) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def _batches(lengths: Sequence[int], equal: bool) -> list[list[int]]:
    """The numbers of prompts that are answered together, the shortest first. equal: only of one length."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    groups = [list(group) for _, group in groupby(order, key=lambda i: lengths[i] if equal else 0)]
    return [group[start : start + BATCH] for group in groups for start in range(0, len(group), BATCH)]


def _common_prefix(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with; at least one token of each is left to compute."""
    if len(prompts) < 2:
        return 0
    low, high = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return min(same, min(map(len, prompts)) - 1)


def load_generator(
    base: Path, adapter: Path | None, prompt: PromptSettings, examples: Sequence[Message] = ()
) -> Generator:
    """Load a base model folder, and a PEFT adapter folder on top, on the best device this machine has.

    On a processor always in float32, whatever training used: a bfloat16 rounds at 1 in 256, so that the number of rows
    computed together could change a word, and an answer served alone would not be the answer evaluated in a batch.
    """
    import torch

    from tasks.core.process.hardware import choose_device_and_dtype, reuse_memory

    reuse_memory()
    machine = choose_device_and_dtype()
    dtype = torch.float32 if machine.device == "cpu" else machine.torch_dtype()
    tokenizer = load_tokenizer(base)
    model = load_weights(base, dtype=dtype).to(machine.device)
    if adapter is not None:
        from peft import PeftModel

        # Merged, so that a token costs what it costs the base model.
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return Generator(model, tokenizer, prompt, examples)
