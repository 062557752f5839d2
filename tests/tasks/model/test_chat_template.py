"""One prompt format: a model is prompted with the very tokens it was trained on, and the loss
counts on answers alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import DataError, RecipeError
from tasks.model.chat_template import (
    IGNORED,
    Message,
    PromptSettings,
    TokenizedExample,
    encode,
    expected,
    prompt_ids,
    question,
    stop_ids,
    with_system_prompt,
)
from tests.support.template_families import BARE
from tests.support.tiny_model import CHATML, tiny_model

X = IGNORED
FORGETFUL = (  # like templates of reasoning models: earlier answers are cut down once a later turn follows
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n-<|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny model's, trained on too little to merge anything: a token is a character or a special token."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model(tmp_path_factory.mktemp("base"), [""]))


def say(*turns: str) -> list[Message]:
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[turn[0]], "content": turn[2:]} for turn in turns]


def shown(tokenizer: Any, example: TokenizedExample) -> list[tuple[str, bool]]:
    """Runs of text, and whether the loss counts on them."""
    runs: list[tuple[str, bool]] = []
    for token, label in zip(example.input_ids, example.labels, strict=True):
        assert label in (X, token)
        text, counts = tokenizer.decode([token]), label != X
        runs = [*runs[:-1], (runs[-1][0] + text, counts)] if runs and runs[-1][1] == counts else [*runs, (text, counts)]
    return runs


def test_one_turn_by_hand(tokenizer: Any) -> None:
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    u, s, e, r, a, i, t, n, o, k, new = (tokenizer.convert_tokens_to_ids(c) for c in "useraitnokĊ")
    example = encode(tokenizer, say("u:no", "a:ok"), PromptSettings())
    assert example.input_ids == [
        start,
        u,
        s,
        e,
        r,
        new,
        n,
        o,
        end,
        new,
        start,
        a,
        s,
        s,
        i,
        s,
        t,
        a,
        n,
        t,
        new,
        o,
        k,
        end,
    ]
    assert example.labels == [X] * 21 + [o, k, end]


def test_several_turns_with_a_system_prompt_by_hand(tokenizer: Any) -> None:
    row = say("s:Be brief.", "u:1+1?", "a:2", "u:And 2+2?", "a:4", "u:Thanks")
    assert shown(tokenizer, encode(tokenizer, row, PromptSettings())) == [
        ("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n", False),
        ("2<|im_end|>", True),
        ("\n<|im_start|>user\nAnd 2+2?<|im_end|>\n<|im_start|>assistant\n", False),
        ("4<|im_end|>", True),
    ]


def test_an_answer_of_weight_zero_is_read_and_not_learnt_by_hand(tokenizer: Any) -> None:
    row = say("s:Be brief.", "u:1+1?", "a:3", "u:No.", "a:2", "u:2+2?", "a:5", "u:Thanks")
    example = encode(tokenizer, row, PromptSettings(), [0, 0, 0, 0, 1, 0, 0, 0])
    assert shown(tokenizer, example) == [
        (
            "<|im_start|>system\nBe "
            "brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n3<|im_end|>\n"
            "<|im_start|>user\nNo.<|im_end|>\n<|im_start|>assistant\n",
            False,
        ),
        ("2<|im_end|>", True),
    ]
    replaced = encode(tokenizer, row, PromptSettings(system="Triage."), [0, 0, 0, 0, 1, 0, 0, 0])
    assert shown(tokenizer, replaced)[1:] == [("2<|im_end|>", True)]
    assert encode(tokenizer, row, PromptSettings(), [0.0] * 8) == TokenizedExample([], [])
    assert encode(tokenizer, row, PromptSettings(), [1.0] * 8) == encode(tokenizer, row, PromptSettings())


def test_the_recipes_system_prompt_replaces_a_rows_own(tokenizer: Any) -> None:
    prompt = PromptSettings(system="Triage.")
    expected_turns = say("s:Triage.", "u:Hi", "a:Yo")
    for row in (say("u:Hi", "a:Yo"), say("s:Old.", "u:Hi", "a:Yo"), say("s:Old.", "u:Hi", "s:Older.", "a:Yo")):
        assert with_system_prompt(row, prompt) == expected_turns
        assert encode(tokenizer, row, prompt) == encode(tokenizer, expected_turns, PromptSettings())


def test_question_and_expected_split_a_row_at_its_last_answer() -> None:
    row = say("u:1", "a:2", "u:3", "a:4")
    assert (question(row), expected(row)) == (row[:3], "4")
    assert (question(row[:3]), expected(row[:3])) == (row[:1], "2")
    assert (question(row[:1]), expected(row[:1])) == (row[:1], "")


odd = st.sampled_from(["", "\n", " ", "\n\n x ", "é\u0301", "🙂"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | odd


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=3), texts, texts)
def test_for_any_texts_the_loss_is_on_the_answers_and_the_prompt_is_the_trained_one(
    tokenizer: Any, pairs: list[tuple[str, str]], own: str, system: str
) -> None:
    prompt = PromptSettings(system=system)
    row = say(f"s:{own}", *(f"{role}:{text}" for pair in pairs for role, text in zip("ua", pair, strict=True)))
    example = encode(tokenizer, row, prompt)
    labelled = [label for label in example.labels if label != X]
    assert tokenizer.decode(labelled) == "".join(answer + "<|im_end|>" for _, answer in pairs)
    turns = with_system_prompt(row, prompt)
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert tokenizer.decode(example.input_ids) + "\n" == whole
    served = prompt_ids(tokenizer, question(row), prompt)
    assert example.input_ids[: len(served)] == served
    assert len(example.input_ids) - len(served) == len(tokenizer.encode(pairs[-1][1])) + 1


def test_a_tokenizer_that_merges_over_the_border_is_prompted_with_what_it_was_trained_on(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    merging = AutoTokenizer.from_pretrained(tiny_model(tmp_path, ["\n\n\n\n" * 9]))
    row = say("u:list", "a:\n\n1", "u:more", "a:2")
    served = prompt_ids(merging, question(row), PromptSettings())
    assert len(merging.encode("\n\n")) == 1  # so that the whole text at once would be other tokens
    assert served != merging.encode(
        merging.apply_chat_template(question(row), tokenize=False, add_generation_prompt=True)
    )
    assert encode(merging, row, PromptSettings()).input_ids[: len(served)] == served


def test_a_stop_text_is_one_token_or_refused(tokenizer: Any) -> None:
    assert stop_ids(tokenizer, PromptSettings()) == [tokenizer.eos_token_id]
    both = stop_ids(tokenizer, PromptSettings(stop=("<|endoftext|>", "<|im_end|>")))
    assert both == tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    example = encode(tokenizer, say("u:no", "a:ok"), PromptSettings(stop=("<|endoftext|>", "<|im_end|>")))
    assert example.labels[-1] == both[0]
    with pytest.raises(RecipeError, match="'END' is 3 tokens") as caught:
        stop_ids(tokenizer, PromptSettings(stop=("<|im_end|>", "END")))
    assert caught.value.where == "recipe: prompt.stop"


def test_a_model_without_a_template_or_an_end_token_is_refused_with_a_way_out(tokenizer: Any) -> None:
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    with pytest.raises(RecipeError, match=r"set prompt\.chat_template"):
        encode(bare, say("u:no", "a:ok"), PromptSettings())
    encode(bare, say("u:no", "a:ok"), PromptSettings(chat_template=CHATML))
    bare.eos_token = None
    encode(bare, say("u:no", "a:ok"), PromptSettings(chat_template=CHATML))
    with pytest.raises(RecipeError, match=r"set prompt\.stop"):
        encode(bare, say("u:no", "a:ok"), PromptSettings(chat_template=BARE))


def test_a_template_that_rewrites_earlier_turns_is_refused_but_serves_single_turns(tokenizer: Any) -> None:
    prompt = PromptSettings(chat_template=FORGETFUL)
    assert shown(tokenizer, encode(tokenizer, say("u:no", "a:ok"), prompt))[-1] == ("ok<|im_end|>", True)
    with pytest.raises(DataError, match="writes earlier turns differently"):
        encode(tokenizer, say("u:no", "a:ok", "u:no", "a:ok"), prompt)


def test_a_stop_token_that_the_template_does_not_use_is_not_mixed_with_it(tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"set prompt\.stop to the text with which the template ends a turn"):
        encode(tokenizer, say("u:no", "a:ok", "u:no", "a:ok"), PromptSettings(stop=("<|endoftext|>",)))


def test_a_template_that_refuses_a_row_says_so_in_its_own_words(tokenizer: Any) -> None:
    strict = "{% if messages[0].role != 'user' %}{{ raise_exception('must begin with user') }}{% endif %}" + CHATML
    with pytest.raises(DataError, match=r"conversation of system, user: must begin with user"):
        encode(tokenizer, say("s:x", "u:no", "a:ok"), PromptSettings(chat_template=strict))


# ---------------------------------------------------------------- tool calls

TOOLING = (  # as Qwen's and Hermes' templates: tools in a turn of their own, calls as JSON in tags
    "{% if tools %}<|im_start|>system\nTools: "
    "{{ tools | map(attribute='function.name') | join(', ') }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}"
    '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</call>{% endfor %}<|im_end|>\n'
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOLS = [{"type": "function", "function": {"name": "weather"}}]
CALLED: list[Message] = [
    {"role": "user", "content": "Rain?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
        ],
    },
    {"role": "tool", "content": "wet", "tool_call_id": "1"},
    {"role": "assistant", "content": "Yes."},
]


def test_a_call_is_learnt_as_the_template_writes_it_and_the_tools_answer_is_read(tokenizer: Any) -> None:
    example = encode(tokenizer, CALLED, PromptSettings(chat_template=TOOLING), tools=TOOLS)
    assert shown(tokenizer, example) == [
        (
            "<|im_start|>system\nTools: weather<|im_end|>\n<|im_start|>user\nRain?<|im_end|>\n<|im_start|>assistant\n",
            False,
        ),
        ('<call>{"name": "weather", "arguments": {"city": "Bonn"}}</call><|im_end|>', True),
        ("\n<|im_start|>tool\nwet<|im_end|>\n<|im_start|>assistant\n", False),
        ("Yes.<|im_end|>", True),
    ]


def test_a_conversation_may_end_in_a_call_and_a_call_of_weight_zero_is_only_read(tokenizer: Any) -> None:
    prompt = PromptSettings(chat_template=TOOLING, system="Be brief.")
    last = shown(tokenizer, encode(tokenizer, CALLED[:2], prompt, tools=TOOLS))[-1]
    assert last == ('<call>{"name": "weather", "arguments": {"city": "Bonn"}}</call><|im_end|>', True)
    learnt = [
        text for text, counts in shown(tokenizer, encode(tokenizer, CALLED, prompt, [0, 0, 0, 1], TOOLS)) if counts
    ]
    assert learnt == ["Yes.<|im_end|>"]


def test_a_template_without_a_place_for_calls_or_tools_is_refused_in_words(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="does not write an assistant's tool calls"):
        encode(tokenizer, CALLED, PromptSettings(chat_template=CHATML))
    with pytest.raises(DataError, match="does not write the tools on offer"):
        encode(tokenizer, say("u:no", "a:ok"), PromptSettings(chat_template=CHATML), tools=TOOLS)
