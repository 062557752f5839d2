"""Tool calls as a chat template writes them: its form is found, and what an answer says in it is read back, nothing
else.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.row import made_call
from tasks.model.chat_template import PromptSettings, written_calls
from tasks.model.tool_call_syntax import CallForm, call_form, read_answer
from tests.support import chat_templates
from tests.support.tiny_model import CHATML, tiny_model

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
ASKED = [{"role": "user", "content": "Rain?"}]
# Whether one turn may hold several calls.
FAMILIES = {
    "HERMES": True,
    "LLAMA": False,
    "MISTRAL": True,
    "DEEPSEEK": True,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model(tmp_path_factory.mktemp("base"), [""]))


@pytest.fixture(scope="module")
def forms(tokenizer: Any) -> dict[str, CallForm]:
    return {name: call_form(tokenizer, prompt(name)) for name in FAMILIES}


def prompt(name: str) -> PromptSettings:
    return PromptSettings(chat_template=getattr(chat_templates, name))


def written(tokenizer: Any, name: str, *pairs: tuple[str, Any]) -> str:
    calls = [made_call(number, *pair) for number, pair in enumerate(pairs, 1)]
    made = {"role": "assistant", "content": "", "tool_calls": calls}
    tools = [{"type": "function", "function": {"name": name}} for name, _ in pairs]
    return written_calls(tokenizer, [*ASKED, made], prompt(name), tools)


def test_each_family_writes_calls_as_it_is_known_to(tokenizer: Any) -> None:
    told = {name: written(tokenizer, name, ("weather", {"city": "Bonn"})) for name in (*FAMILIES, "XML")}
    assert told == {
        "HERMES": '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>',
        "LLAMA": '{"name": "weather", "parameters": {"city": "Bonn"}}',
        "MISTRAL": '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Bonn"}, "id": "call00001"}]',
        "DEEPSEEK": '<call_begins><call>function<sep>weather\n```json\n{"city": "Bonn"}\n```<call_end><calls_end>',
        "XML": "<tool_call>\n<function=weather>\n<parameter=city>\nBonn\n</parameter>\n</function>\n</tool_call>",
    }


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=6,
)
calls = st.tuples(st.from_regex(r"[A-Za-z_][\w.-]{0,20}", fullmatch=True), st.dictionaries(st.text(max_size=6), values))


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=25)
@given(pairs=st.lists(calls, min_size=1, max_size=3))
def test_what_a_template_writes_is_read_back_whatever_it_is(
    tokenizer: Any, forms: dict[str, CallForm], name: str, pairs: list[tuple[str, Any]]
) -> None:
    some = pairs if FAMILIES[name] else pairs[:1]
    assert forms[name].read(written(tokenizer, name, *some).strip()) == ("", some)


@pytest.mark.parametrize("name", FAMILIES)
def test_space_and_spelling_of_json_do_not_count(tokenizer: Any, forms: dict[str, CallForm], name: str) -> None:
    text = written(tokenizer, name, ("weather", {"city": "Bonn", "days": 2}))
    spelled = text.replace('{"city": "Bonn", "days": 2}', '{ "days" : 2,\n"city":"B\\u006fnn"}').replace("\n</", "</")
    assert spelled != text
    assert forms[name].read(f"\n{spelled} ") == ("", [("weather", {"city": "Bonn", "days": 2})])


def test_what_is_said_beside_calls_is_kept(forms: dict[str, CallForm]) -> None:
    first, second = '{"name": "a", "arguments": {}}', '{"arguments": {}, "name": "b"}'
    text = f"Let me see.\n<tool_call>{first}</tool_call><tool_call>{second}</tool_call>"
    assert forms["HERMES"].read(text) == ("Let me see.", [("a", {}), ("b", {})])


BROKEN = {
    "HERMES": [
        "It rains.",
        "",
        "<tool_call>",
        '<tool_call>{"name": "a", "arguments": {}}',
        '{"name": "a", "arguments": {}}',
        '<tool_call>{"name": "a", "arguments": {}}</tool_call> and so on',
        '<tool_call>{"name": "a"}</tool_call>',
        '<tool_call>{"name": "a", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "a", "arguments": NaN}</tool_call>',
        '<tool_call>{"name": "", "arguments": {}}</tool_call>',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "a", "arguments": {}}</tool_call><tool_call>{"name": "b"</tool_call>',
        "<tool_call>" + '{"name":' * 20_000,
    ],
    "LLAMA": [
        "It rains.",
        '{"rain": true}',
        'Here: {"name": "a", "parameters": {}}',
        '{"name": "a", "parameters": {}} {}',
        '[{"name": "a", "parameters": {}}]',
    ],
    "MISTRAL": [
        "[TOOL_CALLS]",
        "[TOOL_CALLS] []",
        '[TOOL_CALLS] {"name": "a", "arguments": {}}',
        '[TOOL_CALLS] [{"name": "a"}]',
    ],
    "DEEPSEEK": [
        "<call_begins>",
        "<call_begins><call>function<sep>a b\n```json\n{}\n```<call_end><calls_end>",
        "<call_begins><call>function<sep>a\n{}\n```<call_end><calls_end>",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_an_answer_in_another_form_is_text(forms: dict[str, CallForm], name: str, text: str) -> None:
    assert forms[name].read(text) is None


def test_calls_are_given_back_in_openais_form_with_ids_that_the_conversation_does_not_have(
    forms: dict[str, CallForm],
) -> None:
    before: list[dict[str, Any]] = [
        *ASKED,
        {"role": "assistant", "content": "", "tool_calls": [made_call(1, "weather", {})]},
    ]
    found = read_answer(
        forms["HERMES"], '<tool_call>{"name": "weather", "arguments": {"city": "Köln"}}</tool_call>', before
    )
    assert found is not None
    assert json.loads(found[1]) == [
        {"id": "call00002", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
    ]


@pytest.mark.parametrize(
    ("template", "said"), [(chat_templates.XML, "cannot be read back"), (CHATML, "does not write")]
)
def test_a_template_without_a_form_is_refused_in_words(tokenizer: Any, template: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        call_form(tokenizer, PromptSettings(chat_template=template))


def test_a_template_that_leaves_out_what_is_said_beside_a_call_is_refused(tokenizer: Any) -> None:
    made = {"role": "assistant", "content": "Let me see.", "tool_calls": [made_call(1, "weather", {})]}
    assert written_calls(tokenizer, [*ASKED, made], prompt("HERMES"), TOOLS).startswith("Let me see.")
    with pytest.raises(DataError, match="what an assistant says beside its tool calls"):
        written_calls(tokenizer, [*ASKED, made], prompt("LLAMA"), TOOLS)
