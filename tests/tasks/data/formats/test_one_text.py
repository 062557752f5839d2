"""A conversation that is written out as one text is read by its heads, or by what the recipe says."""

from __future__ import annotations

import pytest

from tasks.core.row_kind import SFT
from tasks.data.formats.adapter import Reading, adapter
from tasks.data.formats.messages import UnadaptedError

ONE = [("user", "Where is it?"), ("assistant", "On shelf 1.\n\nOr 2.")]
TWO = [*ONE, ("user", "Sure?"), ("assistant", "Yes.")]
SYSTEM = ("system", "Be brief.")

WRITTEN = {
    "### Instruction:\nWhere is it?\n\n### Response:\nOn shelf 1.\n\nOr 2.": ONE,
    "Be brief.\n\n### Instruction:\nWhere is it?\n\n### Response:\nOn shelf 1.\n\nOr 2.\n": [SYSTEM, *ONE],
    "### Human: Where is it?### Assistant: On shelf 1.\n\nOr 2.### Human: Sure?### Assistant: Yes.": TWO,
    "Be brief. USER: Where is it? ASSISTANT: On shelf 1.\n\nOr 2.</s>USER: Sure? ASSISTANT: Yes.</s>": [SYSTEM, *TWO],
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhere is it?<|im_end|>\n"
    "<|im_start|>assistant\nOn shelf 1.\n\nOr 2.<|im_end|>\n": [SYSTEM, *ONE],
    "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWhere is it? [/INST] On shelf 1.\n\nOr 2. </s>"
    "<s>[INST] Sure? [/INST] Yes. </s>": [SYSTEM, *TWO],
    "<bos><start_of_turn>user\nWhere is it?<end_of_turn>\n<start_of_turn>model\nOn shelf 1.\n\nOr 2.<end_of_turn>\n": ONE,
    "<|user|>\nWhere is it?<|end|>\n<|assistant|>\nOn shelf 1.\n\nOr 2.<|end|>\n": ONE,
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhere is it?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nOn shelf 1.\n\nOr 2.<|eot_id|>": ONE,
}


def said(text: str, mark: str = "") -> list[tuple[str, str]]:
    row, _ = adapter(Reading(text=mark), SFT)({"text": text})
    return [(one["role"], one["content"]) for one in row["messages"]]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_conversation_is_read_by_its_heads(text: str) -> None:
    assert said(text) == WRITTEN[text]


def test_the_input_of_alpaca_stands_below_its_instruction() -> None:
    text = "### Instruction:\nAsk it.\n\n### Input:\nIt is open.\n\n### Response:\n    Is it open?"
    assert said(text) == [("user", "Ask it.\n\nIt is open."), ("assistant", "    Is it open?")]


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "### Instruction:\nWhere is it?",
        "### Human: a ### Human: b ### Assistant: c",
        "<|im_start|>assistant\nHello<|im_end|>",
        "Q: Where?\nA: There.",
    ],
)
def test_a_text_of_no_known_heads_is_held_with_what_to_say(text: str) -> None:
    with pytest.raises(UnadaptedError, match="shape not recognised") as held:
        said(text)
    assert held.value.evidence["columns_found"] == ["text"]
    assert "data.text" in held.value.evidence["todo"]


def test_a_recipe_says_where_the_answer_begins() -> None:
    assert said("table: a\nQ: How many?\nA: SELECT 1", "\nA:") == [
        ("user", "table: a\nQ: How many?"),
        ("assistant", "SELECT 1"),
    ]
    with pytest.raises(UnadaptedError, match="does not stand once"):
        said("Q: a\nA: b\nQ: c\nA: d", "\nA:")
