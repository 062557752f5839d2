"""dedupe: what is left has no duplicates, and every row that went names a kept row it really resembles."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.ledger import ROW_SCHEMA, Outcome, check_balance
from tasks.dedupe import DedupeSettings, Likeness, dedupe

WORDS = st.lists(st.sampled_from(["where", "is", "my", "order", "due", "on", "monday", "please", "help"]), max_size=12)
PROMPTS = st.lists(WORDS.map(" ".join) | st.sampled_from(["", "👍", "👎", "Hi", "hi"]), min_size=1, max_size=20)


def row(row_id: str, prompt: str, answer: str = "We will look into it.", system: str = "") -> dict[str, Any]:
    said = [("system", system)] if system else []
    messages = [{"role": role, "content": text} for role, text in [*said, ("user", prompt), ("assistant", answer)]]
    return {"row_id": row_id, "source": "a.jsonl", "line": 1, "messages": messages, "meta": "{}"}


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def fate(outcome: Outcome) -> dict[str, tuple[str, dict[str, Any]]]:
    told = outcome.ledger.select("row_id", "reason", "evidence").iter_rows()
    return {row_id: (reason, json.loads(evidence)) for row_id, reason, evidence in told}


def jaccard(a: str, b: str, ngram: int = 3) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + ngram]) for i in range(max(len(words) - ngram + 1, 1))} if words else {(text,)}

    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


def test_copies_that_differ_in_case_and_space_are_exact_duplicates_of_the_row_that_stays() -> None:
    rows = frame([row("a", "Where is  my ORDER?"), row("b", "where is my order?\n"), row("c", "Cancel it")])
    outcome = dedupe(rows, DedupeSettings())
    assert outcome.kept["row_id"].to_list() == ["a", "c"]
    assert fate(outcome) == {"b": ("exact duplicate", {"kept": "a", "of": "row", "jaccard": 1.0})}


def test_a_reworded_row_is_a_near_duplicate_and_says_how_near() -> None:
    text = "my parcel was due on monday and it still has not come what can you do"
    longer = text + " please"
    outcome = dedupe(frame([row("a", text), row("b", longer), row("c", "how do i return a lamp")]), DedupeSettings())
    assert fate(outcome) == {"b": ("near duplicate", {"kept": "a", "of": "prompt", "jaccard": round(jaccard(text, longer), 4)})}


def test_the_longest_answer_survives_then_the_shortest_prompt_then_the_smallest_id() -> None:
    rows = [row("a", "Where is it?", "Short."), row("b", "where is it?", "Longer."), row("c", "WHERE is it?", "Short.")]
    assert set(fate(dedupe(frame(rows), DedupeSettings()))) == {"a", "c"}
    assert set(fate(dedupe(frame([rows[0], rows[2]]), DedupeSettings()))) == {"c"}


def test_there_are_no_chains() -> None:
    words = [f"w{i}" for i in range(30)]
    a, b, c = (" ".join(words[start : start + 20]) for start in (0, 3, 6))  # a like b, b like c, a unlike c
    assert jaccard(a, b) >= 0.7 > jaccard(a, c)
    rows = [row("a", a, "The longest answer of all"), row("b", b, "A long answer"), row("c", c, "Short")]
    assert list(fate(dedupe(frame(rows), DedupeSettings()))) == ["b"]


def test_copies_of_a_row_that_went_name_the_row_that_stayed() -> None:
    text = "my parcel was due on monday and it still has not come what can you do"
    longest = row("c", text + " please", "A much longer answer, so it stays.")
    rows = frame([row("a", text), row("b", text.upper()), longest])
    outcome = dedupe(rows, DedupeSettings())
    assert {evidence["kept"] for _, evidence in fate(outcome).values()} == {"c"}
    check_balance("dedupe", rows, outcome)


def test_short_and_wordless_prompts_are_duplicates_only_of_the_same_text() -> None:
    texts = {"a": "👍", "b": "👎", "c": "👍", "d": "hi", "e": "hi!", "f": "no"}
    outcome = dedupe(frame([row(*item) for item in texts.items()]), DedupeSettings())
    reasons = {row_id: reason for row_id, (reason, _) in fate(outcome).items()}
    assert reasons == {"c": "exact duplicate", "e": "near duplicate"}


def test_the_same_words_under_another_system_message_are_another_task() -> None:
    text = "the cat sat on the mat"
    rows = frame([row("a", text, system="Translate."), row("b", text, system="Label."), row("c", text + "!")])
    assert dedupe(rows, DedupeSettings()).kept.height == 3


def test_turns_before_the_last_count_as_prompt() -> None:
    def turns(row_id: str, first: str) -> dict[str, Any]:
        said = [("user", first), ("assistant", "Which order?"), ("user", "The last one"), ("assistant", "Done.")]
        return {**row(row_id, ""), "messages": [{"role": role, "content": text} for role, text in said]}

    rows = frame([turns("a", "Please cancel my order"), turns("b", "I would like to return a lamp I bought")])
    assert dedupe(rows, DedupeSettings()).kept.height == 2


def test_ten_thousand_copies_cost_nothing() -> None:
    rows = frame([row(f"{i:05d}", "the same message with seven words here") for i in range(10_000)])
    assert dedupe(rows, DedupeSettings()).kept["row_id"].to_list() == ["00000"]


def test_thousands_of_automatic_notices_that_differ_in_a_number_leave_one() -> None:
    text = "Your ticket {} is closed. If you think that this is wrong, reply within seven days and we look again."
    rows = frame([row(f"{i:05d}", text.format(i)) for i in range(12_000)])
    outcome = dedupe(rows, DedupeSettings())
    assert outcome.kept["row_id"].to_list() == ["00000"]  # the shortest prompt, then the smallest id
    assert json.loads(outcome.ledger["evidence"][0]) == {"kept": "00000", "of": "prompt", "jaccard": 0.7143}
    check_balance("dedupe", rows, outcome)


@settings(max_examples=100, deadline=None)
@given(PROMPTS, st.integers(0, 9), st.sampled_from([0.5, 0.7, 1.0]))
def test_what_is_left_is_apart_and_what_went_resembles_its_kept_row(texts: list[str], seed: int, limit: float) -> None:
    answers = ["x" * (i * 7 % 4 + 1) for i in range(len(texts))]
    rows = [row(f"{i:03d}", text, answer) for i, (text, answer) in enumerate(zip(texts, answers, strict=True))]
    outcome = dedupe(frame(rows), DedupeSettings(prompt=Likeness(threshold=limit)))
    check_balance("dedupe", frame(rows), outcome)
    kept = sorted(outcome.kept["row_id"])
    by_id = {f"{i:03d}": text.lower() for i, text in enumerate(texts)}
    assert all(jaccard(by_id[a], by_id[b]) < limit for a in kept for b in kept if a < b)
    for row_id, (_, evidence) in fate(outcome).items():
        assert evidence["kept"] in kept
        assert evidence["jaccard"] == round(jaccard(by_id[row_id], by_id[evidence["kept"]]), 4) >= limit
    Random(seed).shuffle(rows)
    again = dedupe(frame(rows), DedupeSettings(prompt=Likeness(threshold=limit)))
    assert sorted(again.kept["row_id"]) == kept
    assert again.ledger.equals(outcome.ledger)
