"""Records become rows by their keys, whatever their case; what their keys do not settle is no row."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.row_kind import SFT
from tasks.data.formats.adapter import Reading, adapter
from tasks.data.formats.messages import UnadaptedError
from tasks.data.readers import read_records


def adapted(record: dict[str, Any]) -> list[str]:
    row, _ = adapter(Reading(), SFT)(record)
    return [message["content"] for message in row["messages"]]


@pytest.mark.parametrize("prompt", ["Where is the rope?", 7, ["a"]])
def test_a_key_that_comes_in_two_spellings_with_two_values_is_no_row(prompt: Any) -> None:
    with pytest.raises(UnadaptedError, match="a key comes twice"):
        adapted({"Prompt": "Where is the ladder?", " prompt": prompt, "completion": "In the shed."})


@pytest.mark.parametrize("other", [None, "", "Where is the ladder?"])
def test_two_spellings_of_which_one_says_nothing_else_are_one_key(other: str | None) -> None:
    for first, second in (("Where is the ladder?", other), (other, "Where is the ladder?")):
        record = {"Prompt": first, "prompt": second, "completion": "In the shed."}
        assert adapted(record) == ["Where is the ladder?", "In the shed."]


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt": "a", "prompt": "b", "completion": "c"}',
        '{"messages": [{"role": "user", "content": "a", "content": "b"}]}',
    ],
)
def test_a_line_of_json_with_a_key_twice_is_told_by_the_key(line: str) -> None:
    good = '{"prompt": "a", "completion": "{\\"a\\": 1}"}'
    first, second = read_records("a.jsonl", f"{line}\n{good}\n".encode())
    assert (first.value, first.reason) == (None, "a key comes twice")
    assert first.evidence["key"] in ("prompt", "content")
    assert second.value
