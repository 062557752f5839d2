"""select: the budget is kept, rare rows stay, what stays stands for what goes, and nothing hangs on chance or order."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from random import Random
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import DataError
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.curation.select import SelectSettings, select
from tasks.metrics.answer_schema import AnswerSettings
from tasks.similarity import facility_location as covering
from tasks.similarity.facility_location import cover, nearest_chosen

INTENT, TEXT = AnswerSettings(label="intent"), AnswerSettings()
METHODS: tuple[Literal["cover", "random", "longest"], ...] = ("cover", "random", "longest")
TOPICS = {
    "parcel": "the parcel that I ordered has not come and the courier has no trace of it",
    "refund": "give me the money back for a lamp which broke in my hands on day one",
    "login": "your website will no longer let us sign in with any password we try",
}


def row(text: str, answer: str = "{}", row_id: str = "", **meta: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    made = row_id or hashlib.sha256(f"{text}{answer}{meta}".encode()).hexdigest()
    return {"row_id": made, "source": "a.csv", "line": 1, "messages": messages, "meta": json.dumps(meta)}


def about(topic: str, rows: int, answer: str = "{}", **meta: str) -> list[dict[str, Any]]:
    """Rows that ask the topic's question in nearly the same words."""
    words = TOPICS[topic].split()
    return [row(" ".join([*words[: n % 5 + 9], f"{topic}{n}"]), answer, f"{topic}{n:03d}", **meta) for n in range(rows)]


def labelled(topic: str, rows: int, **meta: str) -> list[dict[str, Any]]:
    return about(topic, rows, json.dumps({"intent": topic}), **meta)


def run(
    rows: list[dict[str, Any]], budget: int, answer: AnswerSettings = TEXT, kind: str = "sft", **chosen: Any
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """(row_ids kept, evidence of the others)."""
    frame = pl.DataFrame(rows, schema=ROW_SCHEMA)
    settings = SelectSettings(rows=budget, **chosen)
    outcome = select(frame, settings, answer, KINDS[kind])
    check_balance("select", frame, outcome)
    assert outcome.kept.equals(frame.join(outcome.kept, on="row_id", how="semi"))
    return outcome.kept["row_id"].to_list(), gone(outcome)


def gone(outcome: Outcome) -> dict[str, dict[str, Any]]:
    assert set(outcome.ledger["reason"]) <= {"beyond the row budget"}
    assert set(outcome.ledger["action"]) <= {"dropped"}
    return {
        row_id: json.loads(evidence) for row_id, evidence in outcome.ledger.select("row_id", "evidence").iter_rows()
    }


def topics(row_ids: list[str]) -> dict[str, int]:
    return dict(Counter(row_id.rstrip("0123456789") for row_id in row_ids))


@pytest.mark.parametrize("budget", [0, 12, 100])
def test_a_budget_that_is_not_set_or_not_reached_keeps_all(budget: int) -> None:
    kept, lost = run(about("parcel", 12), budget)
    assert len(kept) == 12
    assert not lost


def test_cover_keeps_a_row_of_each_topic_where_chance_keeps_only_the_biggest() -> None:
    rows = [*about("parcel", 90), *about("refund", 4), *about("login", 3)]
    named = {hashlib.sha256(row["row_id"].encode()).hexdigest(): row["row_id"] for row in rows}
    rows = [{**row, "row_id": row_id} for row_id, row in zip(named, rows, strict=True)]
    by = {
        method: topics([named[row_id] for row_id in run(rows, 3, method=method)[0]]) for method in ("cover", "random")
    }
    assert by == {"cover": {"parcel": 1, "refund": 1, "login": 1}, "random": {"parcel": 3}}


def test_what_goes_by_cover_names_the_kept_row_that_stands_for_it() -> None:
    kept, lost = run([*about("parcel", 20), *about("refund", 9)], 2)
    stands_for = {row_id.rstrip("0123456789"): row_id for row_id in kept}
    assert {row_id: told["kept"] for row_id, told in lost.items()} == {
        row_id: stands_for[row_id.rstrip("0123456789")] for row_id in lost
    }
    assert all(0.3 < told["similarity"] <= 1 for told in lost.values())
    assert all((told["rows"], told["places"], told["budget"]) == (29, 2, 2) for told in lost.values())


@pytest.mark.parametrize("method", METHODS)
def test_rare_labels_stay_whole_and_the_rest_get_equal_parts(method: str) -> None:
    rows = [*labelled("parcel", 60), *labelled("refund", 30), *labelled("login", 4)]
    kept, lost = run(rows, 24, INTENT, method=method)
    assert topics(kept) == {"parcel": 10, "refund": 10, "login": 4}
    told = next(about for row_id, about in lost.items() if row_id.startswith("refund"))
    assert {key: told[key] for key in ("label", "rows", "places", "budget")} == {
        "label": "refund",
        "rows": 30,
        "places": 10,
        "budget": 24,
    }


def test_a_rare_slice_of_a_label_stays_whole() -> None:
    rows = [*labelled("parcel", 40, language="en"), *labelled("refund", 40, language="en")]
    rare = [row(f"où est mon colis {n}", json.dumps({"intent": "parcel"}), f"fr{n}", language="fr") for n in range(3)]
    kept, lost = run([*rows, *rare], 23, INTENT, slice="language")
    assert topics(kept) == {"parcel": 10, "refund": 10, "fr": 3}
    assert {told["slice"] for told in lost.values()} == {"en"}
    assert topics(run([*rows, *rare], 23, INTENT)[0]).get("fr", 0) < 3


def test_a_slice_that_no_row_has_is_an_error_that_lists_the_columns() -> None:
    with pytest.raises(DataError, match=r"(?s)'langauge'.*allowed: language, shop.*language"):
        run(about("parcel", 9, language="en", shop="harbour"), 3, slice="langauge")


def test_longest_keeps_the_longest_answers_and_random_the_first_row_ids() -> None:
    rows = [row("why", "because " * n, f"{n * 7 % 10}") for n in range(10)]
    by_length, by_id = (run(rows, 3, kind="preference", method=method)[0] for method in ("longest", "random"))
    assert sorted(by_length) == sorted(f"{n * 7 % 10}" for n in (7, 8, 9))
    assert sorted(by_id) == ["0", "1", "2"]


def test_classification_is_shared_out_by_label_and_preference_is_not() -> None:
    rows = [*about("parcel", 30, "parcel"), *about("refund", 5, "refund")]
    assert topics(run(rows, 10, kind="classification", method="random")[0]) == {"parcel": 5, "refund": 5}
    assert topics(run(rows, 10, kind="preference", method="random")[0]) == {"parcel": 10}


def test_more_labels_than_places_is_no_error() -> None:
    rows = [row(f"text {n}", f"label {n % 8}", f"{n:02d}") for n in range(40)]
    kept, lost = run(rows, 3, kind="classification")
    assert len(kept) == 3
    assert {about["places"] for about in lost.values()} == {0, 1}


def points(rows: int, seed: int = 0, dimensions: int = 6) -> np.ndarray[Any, np.dtype[np.float32]]:
    drawn = np.abs(np.random.default_rng(seed).normal(size=(rows, dimensions)))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_each_choice_is_the_one_that_brings_most(seed: int) -> None:
    """The lazy greedy against the plain one, which asks every row every time."""
    vectors = points(60, seed)
    like, near, plain = vectors @ vectors.T, np.zeros(60), []
    for _ in range(12):
        plain.append(int(np.maximum(like - near, 0).sum(axis=1).argmax()))
        near = np.maximum(near, like[plain[-1]])
    assert cover(vectors, 12).tolist() == sorted(plain)


@pytest.mark.parametrize("places", [5, 40, 200, 599, 600, 700])
def test_many_rows_in_blocks_fill_every_place_nearly_as_well(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = points(600)
    whole = cover(vectors, places)
    monkeypatch.setattr(covering, "BLOCK", 64)
    chosen = cover(vectors, places)
    assert len(set(chosen.tolist())) == len(chosen) == min(places, 600)
    best, got, chance = (
        (vectors @ vectors[some].T).max(axis=1).sum() for some in (whole, chosen, np.arange(places) % 600)
    )
    assert got - chance >= 0.5 * (best - chance)
    who, like = nearest_chosen(vectors, chosen)
    assert set(who.tolist()) <= set(chosen.tolist())
    assert (who[chosen] == chosen).all()
    others = np.setdiff1d(np.arange(600), chosen)
    assert np.allclose(like[others], (vectors[others] * vectors[who[others]]).sum(axis=1), atol=1e-5)


def test_rows_without_words_and_copies_of_one_row_are_no_obstacle() -> None:
    assert len(run([row("", "a", f"{n}") for n in range(9)], 4, kind="preference")[0]) == 4
    assert len(run([row(TOPICS["parcel"], "a", f"{n}") for n in range(9)], 4, kind="preference")[0]) == 4


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(TOPICS)), st.integers(0, 99)), min_size=1, max_size=30, unique=True),
    st.integers(0, 30),
    st.sampled_from(METHODS),
    st.integers(0, 9),
)
def test_neither_order_nor_chance_matters_and_never_more_than_the_budget_stays(
    drawn: list[tuple[str, int]], budget: int, method: str, seed: int
) -> None:
    rows = [labelled(topic, n + 1)[n] for topic, n in drawn]
    once = run(rows, budget, INTENT, method=method)
    assert len(once[0]) == (min(budget, len(rows)) or len(rows))
    Random(seed).shuffle(rows)
    again = run(rows, budget, INTENT, method=method)
    assert (set(again[0]), again[1]) == (set(once[0]), once[1])
