"""Answers do not depend on what they are computed with: batch, shared prefix, order, or the base model's own habits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from tasks.model import generation
from tasks.model.chat_template import Message, PromptSettings, encode, prompt_ids
from tasks.model.generation import Answer, Generator, load_generator
from tests.support.template_families import FAMILIES
from tests.support.tiny_model import CHATML, tiny_adapter, tiny_model, tiny_tokenizer
from tests.tasks.model.test_padding import LLAMA, model

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPT = PromptSettings(system="Triage this message.", max_new_tokens=8)
BARE = "{% for m in messages %}{{ m.content }}{% endfor %}"
EXAMPLES = [{"role": "user", "content": "My lamp broke"}, {"role": "assistant", "content": '{"intent": "damaged"}'}]
TEXTS = [
    "Where is my parcel?",
    "Where",
    "Refund, please! It has been weeks and nobody answers.",
    "Hi",
    "Hi there",
    "x y z",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"), [*TEXTS, '{"intent": "damaged"}'])


@pytest.fixture(scope="module")
def alone(speaker: Generator) -> dict[str, Answer]:
    """The answer to each text, asked one by one."""
    return {text: speaker.answer(ask(text))[0] for text in TEXTS}


@pytest.fixture(scope="module")
def speaker(base: Path) -> Generator:
    return load_generator(base, None, PROMPT, EXAMPLES)


def ask(*texts: str) -> list[list[Message]]:
    return [[{"role": "user", "content": text}] for text in texts]


def plain(speaker: Generator, messages: Sequence[Message], examples: Sequence[Message] = EXAMPLES) -> str:
    """What transformers itself generates for one prompt, greedily, with no cache of ours."""
    import torch

    ids = prompt_ids(speaker.tokenizer, [*examples, *messages], speaker.prompt)
    out = speaker.model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    return str(speaker.tokenizer.decode(out[0, len(ids) :]).split("<|im_end|>")[0].strip())


def test_a_batch_answers_as_one_by_one_and_as_plain_transformers(speaker: Generator, alone: dict[str, Answer]) -> None:
    together = speaker.answer(ask(*TEXTS))
    assert together == list(alone.values())
    assert [answer.text for answer in together] == [plain(speaker, one) for one in ask(*TEXTS)]
    assert len({answer.text for answer in together}) > 3  # or the test would say nothing


@effort(max_examples=15)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=7))
def test_each_question_gets_its_answer_whatever_stands_around_it(
    speaker: Generator, alone: dict[str, Answer], texts: list[str]
) -> None:
    assert speaker.answer(ask(*texts)) == [alone[text] for text in texts]


def test_more_questions_than_a_batch_keep_their_order_and_progress_ends_at_one(
    speaker: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = speaker.answer(ask(*TEXTS))
    monkeypatch.setattr(generation, "BATCH", 4)
    shares: list[float] = []
    assert speaker.answer(ask(*TEXTS), shares.append) == whole
    assert shares == [4 / 6, 1.0]


def test_no_question_and_one_question(speaker: Generator) -> None:
    assert speaker.answer([]) == []
    assert speaker.answer(ask("Hi")) == speaker.answer(ask("Hi", "Hi"))[:1]


def test_an_answer_that_stops_and_one_that_is_cut_are_told_apart(base: Path) -> None:
    speaker = load_generator(base, None, PROMPT)
    said = speaker.answer(ask("Hi"))[0]
    assert said == Answer(said.text, prompt_tokens=said.prompt_tokens, answer_tokens=8, stopped=False)
    ids = prompt_ids(speaker.tokenizer, ask("Hi")[0], PROMPT)
    assert said.prompt_tokens == len(ids)
    at, end = _a_token_of_its_own(speaker, "Hi")  # made the stop token, so that the same answer ends there
    stopped = Generator(speaker.model, speaker.tokenizer, PROMPT.model_copy(update={"stop": (end,)})).answer(ask("Hi"))[
        0
    ]
    assert (stopped.answer_tokens, stopped.stopped) == (at, True)
    assert said.text.startswith(stopped.text)
    assert end not in stopped.text


def _a_token_of_its_own(speaker: Generator, text: str) -> tuple[int, str]:
    """Place and text of a generated token, after the first, that is one token when its text is encoded again."""
    import torch

    ids = prompt_ids(speaker.tokenizer, ask(text)[0], speaker.prompt)
    out: Any = speaker.model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    said = out[0, len(ids) :].tolist()
    texts = [speaker.tokenizer.decode([token]) for token in said]
    alike = [
        i for i, token in enumerate(said) if speaker.tokenizer.encode(texts[i]) == [token] and said.index(token) == i
    ]
    return next((i, texts[i]) for i in alike if i)


def test_an_adapter_changes_the_answers_and_leaves_the_base_alone(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(base, tmp_path / "adapter")
    before = load_generator(base, None, PROMPT).answer(ask(*TEXTS))
    tuned = load_generator(base, adapter, PROMPT)
    assert tuned.answer(ask(*TEXTS)) != before
    assert tuned.answer(ask(*TEXTS)) == [tuned.answer([one])[0] for one in ask(*TEXTS)]
    assert load_generator(base, None, PROMPT).answer(ask(*TEXTS)) == before


def test_the_base_models_own_generation_settings_do_not_reach_in(base: Path, speaker: Generator) -> None:
    from transformers import AutoModelForCausalLM, GenerationConfig

    wilful = AutoModelForCausalLM.from_pretrained(base)
    wilful.generation_config = GenerationConfig(
        repetition_penalty=5.0, do_sample=True, temperature=9.0, min_new_tokens=9
    )
    assert Generator(wilful, speaker.tokenizer, PROMPT, EXAMPLES).answer(ask(*TEXTS)) == speaker.answer(ask(*TEXTS))


def test_examples_stand_after_a_rows_own_system_prompt(speaker: Generator) -> None:
    own = Generator(speaker.model, speaker.tokenizer, PromptSettings(max_new_tokens=8), EXAMPLES)
    row = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert own.prompt_ids(row) == prompt_ids(own.tokenizer, [row[0], *EXAMPLES, row[1]], own.prompt)


def test_questions_of_several_turns_that_share_nothing_are_answered_too(base: Path) -> None:
    speaker = load_generator(base, None, PromptSettings(max_new_tokens=8, chat_template=BARE))
    several = [*ask("Where?", "Refund"), [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]]
    assert speaker.answer(several) == [speaker.answer([one])[0] for one in several]


def test_an_answer_ends_at_the_base_models_own_end_too(base: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    pad, end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    model.generation_config.eos_token_id = [pad, end]
    assert Generator(model, tokenizer, PROMPT).stop == [end, pad]


def test_examples_go_into_one_turn_where_the_template_takes_no_earlier_turns(speaker: Generator) -> None:
    single = "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}" + CHATML
    own = Generator(speaker.model, speaker.tokenizer, PromptSettings(chat_template=single), EXAMPLES)
    assert own.tokenizer.decode(own.prompt_ids(ask("Hi")[0])) == (
        "<|im_start|>user\nExamples:\n\nuser: My lamp broke\n\nassistant: "
        '{"intent": "damaged"}\n\nNow answer:\n\nHi<|im_end|>\n<|im_start|>assistant\n'
    )


def test_decoding_leaves_blanks_before_a_full_stop(base: Path) -> None:
    speaker = load_generator(base, None, PROMPT)
    speaker.tokenizer.clean_up_tokenization_spaces = True
    ids = speaker.tokenizer.encode("a , b . c ?", add_special_tokens=False)
    assert speaker._read(ids, 1).text == "a , b . c ?"


def test_what_the_template_puts_before_an_answer_is_no_part_of_it() -> None:
    tokenizer = FAMILIES["qwen-3, always thinking"].tokenizer()
    thinking = Generator(model("llama", LLAMA, tokenizer), tokenizer, PROMPT)
    ids = tokenizer.encode("\n</think>\n\nHere.<|im_end|>", add_special_tokens=False)
    assert thinking._read(ids, 1).text == "Here."


@pytest.mark.parametrize("sentencepiece", [False, True])
@pytest.mark.parametrize("lead", ["", " ", "\n", "<think>\n\n</think>\n\n"])
@pytest.mark.parametrize("said", ["    def f():\n        return 1", "  - a\n  - b", "plain", "a\n    b"])
def test_an_answer_is_served_as_it_was_trained_indent_and_all(
    speaker: Generator, monkeypatch: pytest.MonkeyPatch, said: str, lead: str, sentencepiece: bool
) -> None:
    import torch

    lines = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ 'LEAD' if m.role == 'assistant' }}{{ m.content }}"
    template = lines + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    prompt = PromptSettings(chat_template=template.replace("LEAD", lead.replace("\n", "\\n")))
    tokenizer = tiny_tokenizer([*TEXTS, said], sentencepiece=sentencepiece)
    row = [*ask("Hi")[0], {"role": "assistant", "content": said}]
    encoded = encode(tokenizer, row, prompt)
    learnt = [token for token in encoded.labels if token >= 0]
    monkeypatch.setattr(speaker.model, "generation_config", speaker.model.generation_config)
    asked = Generator(speaker.model, tokenizer, prompt)
    monkeypatch.setattr(speaker.model, "generate", lambda ids, **_: torch.cat([ids, torch.tensor([learnt])], dim=1))
    assert asked.answer(ask("Hi")) == [Answer(said, len(encoded.labels) - len(learnt), len(learnt) - 1, True)]
