"""shared_wording: what many texts have in common is cut out, and nothing that is a text's own."""

from __future__ import annotations

import polars as pl
import pytest

from tasks.similarity.shared_wording import shared_wording

INSTRUCTION = "Read the ticket of a shop and say which team takes it, in one word."
THINGS = ["The box never came", "Parcel is late", "I was charged 2 times", "Hello"]


def own(texts: list[str]) -> list[str]:
    return shared_wording(pl.Series(texts, dtype=pl.String))["own"].to_list()


def test_the_own_words_are_what_is_left_without_an_instruction_and_without_numbers() -> None:
    texts = [f"{INSTRUCTION}\n\n{thing}" for thing in THINGS]
    assert own([*texts, "Where is it?"]) == [
        "the box never came",
        "parcel is late",
        "i was charged times",
        "hello",
        "Where is it?",
    ]


@pytest.mark.parametrize("rows", [3, 4])
def test_three_texts_with_a_passage_are_no_many(rows: int) -> None:
    texts = [f"{INSTRUCTION} {thing}" for thing in THINGS[:rows]]
    assert (own(texts) == texts) == (rows == 3)


def test_copies_count_once_and_a_text_that_is_nothing_else_stays() -> None:
    assert own([INSTRUCTION] * 9) == [INSTRUCTION] * 9
    texts = [INSTRUCTION, *(f"{INSTRUCTION} {thing}" for thing in THINGS)]
    assert own(texts)[0] == INSTRUCTION


def test_short_texts_and_no_texts_share_nothing() -> None:
    assert own([]) == []
    assert own(["", "a b c", "a b c!", "A b c", "a, b c", "a b, c"]) == [
        "",
        "a b c",
        "a b c!",
        "A b c",
        "a, b c",
        "a b, c",
    ]


def test_what_is_shared_is_seen_where_no_spaces_are_written() -> None:
    assert (
        own([f"请阅读下面这条客户留言：{text}" for text in ("没收到", "要退货", "发票错了", "很好")])[0] == "没 收 到"
    )
