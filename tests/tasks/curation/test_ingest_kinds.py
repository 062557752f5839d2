"""Ingest by kind: pairs, labels, ratings and weights in every shape they come in; a row of another
kind is told apart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from tasks.core.errors import RecipeError
from tasks.core.home import digest_bytes
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row_kind import KINDS
from tasks.core.settings import Settings
from tasks.core.text.strict_yaml import read_yaml
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest

Turns = list[tuple[str, str]]
ASKED, GOOD, BAD = ({"role": r, "content": c} for r, c in (("user", "Hi"), ("assistant", "Yes"), ("assistant", "No")))
SYSTEM = {"role": "system", "content": "Be kind"}


def read(folder: Path, kind: str, **source: Any) -> Outcome:
    files = find_sources([Source.model_validate(source)], folder)
    outcome = ingest(files, IngestSettings(), KINDS[kind])
    check_balance("ingest", None, outcome)
    return outcome


def one(folder: Path, kind: str, *records: dict[str, Any], **stated: Any) -> Outcome:
    (folder / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return read(folder, kind, path="rows.jsonl", **stated)


def turns(outcome: Outcome) -> list[Turns]:
    ordered = outcome.kept.sort("source", "line")["messages"].to_list()
    return [[(m["role"], m["content"]) for m in messages] for messages in ordered]


def labelled(outcome: Outcome) -> list[tuple[str, str]]:
    assert all([role for role, _ in said] == ["user", "assistant"] for said in turns(outcome))
    return [(said[0][1], said[1][1]) for said in turns(outcome)]


def held(outcome: Outcome) -> list[tuple[int, str]]:
    return sorted(outcome.ledger.select("line", "reason").rows())


SAID = [("user", "Hi"), ("assistant", "Yes")]
PAIRS: dict[str, tuple[dict[str, Any], Turns]] = {
    "texts": ({"prompt": "Hi", "chosen": "Yes", "rejected": "No"}, SAID),
    "texts, other names and case": ({"Question": "Hi", "Chosen": "Yes", "Rejected": "No"}, SAID),
    "with a system column": (
        {"system": "Be kind", "question": "Hi", "chosen": "Yes", "rejected": "No"},
        [("system", "Be kind"), *SAID],
    ),
    "conversational": (
        {"prompt": [SYSTEM, ASKED], "chosen": [GOOD], "rejected": [BAD]},
        [("system", "Be kind"), *SAID],
    ),
    "conversational, in a table's cells": (
        {"prompt": json.dumps([ASKED]), "chosen": json.dumps([GOOD]), "rejected": json.dumps([BAD])},
        SAID,
    ),
    "conversational, the prompt in both answers": ({"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, SAID),
    "a prompt that both answers repeat": (
        {"prompt": "Hi", "chosen": [SYSTEM, ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]},
        [("system", "Be kind"), *SAID],
    ),
    "answers that go on from the prompt": (
        {"prompt": "Hello", "chosen": [BAD, ASKED, GOOD], "rejected": [BAD, ASKED, BAD]},
        [("user", "Hello"), ("assistant", "No"), *SAID],
    ),
    "messages and two answers": ({"messages": [ASKED], "chosen": GOOD, "rejected": BAD}, SAID),
    "sharegpt (LLaMA-Factory)": (
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Yes"},
            "rejected": {"from": "gpt", "value": "No"},
        },
        SAID,
    ),
    "alpaca (LLaMA-Factory)": ({"instruction": "Hi", "input": "", "chosen": "Yes", "rejected": "No"}, SAID),
    "openai": ({"input": {"messages": [ASKED]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}, SAID),
}


@pytest.mark.parametrize("name", PAIRS)
def test_every_shape_of_a_pair_is_recognised(tmp_path: Path, name: str) -> None:
    record, expected = PAIRS[name]
    outcome = one(tmp_path, "preference", {**record, "slice": "short"})
    assert turns(outcome) == [expected]
    assert outcome.kept.select("rejected", "weights", "meta").rows() == [("No", None, '{"slice": "short"}')]


def test_tools_that_an_openai_pair_names_are_kept_in_meta(tmp_path: Path) -> None:
    given = {"messages": [ASKED], "tools": [{"type": "function"}], "parallel_tool_calls": False}
    outcome = one(tmp_path, "preference", {"input": given, "preferred_output": [GOOD], "non_preferred_output": [BAD]})
    assert json.loads(outcome.kept["meta"][0]) == {
        "input": {"tools": [{"type": "function"}], "parallel_tool_calls": False}
    }


NO_PAIRS: dict[str, dict[str, Any]] = {
    "one of the two answers is missing": {"prompt": "Hi", "chosen": "Yes", "rejected": None},
    "answers that differ before their last turn": {"chosen": [ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]},
    "answers that follow another prompt": {"prompt": "Hello", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
    "an answer that is not the assistant's": {"prompt": "Hi", "chosen": [GOOD], "rejected": [ASKED]},
    "a pair of answers without a prompt": {"chosen": [GOOD], "rejected": [BAD]},
    "tool calls are not supported": {
        "prompt": "Hi",
        "chosen": [{**GOOD, "tool_calls": [{"id": "1"}]}],
        "rejected": [BAD],
    },
    "a row of kind sft, where the recipe says preference": {"prompt": "Hi", "completion": "Yes"},
    "a row of kind classification, where the recipe says preference": {"text": "Hi", "label": "greeting"},
}


@pytest.mark.parametrize("reason", NO_PAIRS)
def test_what_is_no_pair_is_quarantined_and_says_why(tmp_path: Path, reason: str) -> None:
    outcome = one(tmp_path, "preference", NO_PAIRS[reason], {"prompt": "Hi", "chosen": "Yes", "rejected": "No"})
    assert held(outcome) == [(1, reason)]
    assert outcome.kept["line"].to_list() == [2]


LABELLED: dict[str, tuple[dict[str, Any], str]] = {
    "text and label": ({"text": "Hi", "label": "ham"}, "ham"),
    "other names and case": ({"SMS": "Hi", "Category": "ham"}, "ham"),
    "a number": ({"sentence": "Hi", "label": 3}, "3"),
    "a whole number from a column with gaps": ({"text": "Hi", "label": 3.0}, "3"),
    "true": ({"review": "Hi", "label": True}, "true"),
    "a number beside its name": ({"text": "Hi", "label": 3, "label_text": "ham"}, "ham"),
    "a label wins over a category": ({"text": "Hi", "label": "ham", "category": "mail"}, "ham"),
    "a label wins over an answer": ({"message": "Hi", "reply": "Hello", "label": "ham"}, "ham"),
    "a conversation of one question": ({"messages": [ASKED, {"role": "assistant", "content": "ham"}]}, "ham"),
    "prompt and completion": ({"prompt": "Hi", "completion": "ham"}, "ham"),
}


@pytest.mark.parametrize("name", LABELLED)
def test_every_shape_of_a_labelled_text_is_recognised(tmp_path: Path, name: str) -> None:
    record, label = LABELLED[name]
    assert labelled(one(tmp_path, "classification", record)) == [("Hi", label)]


NOT_LABELLED: dict[str, dict[str, Any]] = {
    "no label": {"text": "Hi", "label": None},
    "several labels": {"text": "Hi", "label": ["a", "b"]},
    "label is not one value": {"text": "Hi", "label": {"a": 1}},
    "several columns could be the text or the label": {"text": "Hi", "category": "a", "topic": "b"},
    "more or less than a text and its label": {"messages": [ASKED, GOOD, ASKED, GOOD]},
    "content is not text": {"text": 3, "label": "a"},
    "a row of kind preference, where the recipe says classification": {
        "prompt": "Hi",
        "chosen": "Yes",
        "rejected": "No",
    },
}


@pytest.mark.parametrize("reason", NOT_LABELLED)
def test_what_is_no_labelled_text_is_quarantined_and_says_why(tmp_path: Path, reason: str) -> None:
    outcome = one(tmp_path, "classification", NOT_LABELLED[reason], {"text": "Hi", "label": "a"})
    assert held(outcome) == [(1, reason)]


def test_stated_columns_serve_every_kind(tmp_path: Path) -> None:
    record = {"Body": "Hi", "Code": 7, "Better": "Yes", "Worse": "No"}
    assert labelled(one(tmp_path, "classification", record, question="Body", answer="Code")) == [("Hi", "7")]
    pair = one(tmp_path, "preference", record, question="Body", answer="Better", rejected="Worse")
    assert (turns(pair), pair.kept["rejected"].to_list()) == ([SAID], ["No"])
    assert turns(one(tmp_path, "sft", record, question="Body", answer="Better")) == [SAID]


WEIGHTED = [
    ([{**GOOD, "weight": 0}, ASKED, {**GOOD, "weight": 1}], [0.0, 0.0, 0.0, 1.0]),
    ([{**GOOD, "weight": 0}, ASKED, GOOD], [0.0, 0.0, 0.0, 1.0]),
    ([{**GOOD, "weight": 1}, {**ASKED, "weight": 0}, GOOD], None),
    ([GOOD], None),
]


@pytest.mark.parametrize(("said", "weights"), WEIGHTED)
def test_weights_of_openai_messages_are_taken_and_say_nothing_where_all_teach(
    tmp_path: Path, said: list[dict[str, Any]], weights: list[float] | None
) -> None:
    outcome = one(tmp_path, "sft", {"messages": [ASKED, *said]})
    assert outcome.kept.select("weights", "meta").rows() == [(weights, "{}")]


def test_a_system_column_keeps_weights_beside_their_messages(tmp_path: Path) -> None:
    outcome = one(tmp_path, "sft", {"system": "Be kind", "messages": [ASKED, {**BAD, "weight": 0}, ASKED, GOOD]})
    assert [role for role, _ in turns(outcome)[0]] == ["system", "user", "assistant", "user", "assistant"]
    assert outcome.kept["weights"].to_list() == [[0.0, 0.0, 0.0, 0.0, 1.0]]


def test_only_a_row_with_weights_has_another_id_than_before(tmp_path: Path) -> None:
    plain, weighted = {"messages": [ASKED, GOOD]}, {"messages": [ASKED, {**GOOD, "weight": 0}]}
    ids = one(tmp_path, "sft", plain, weighted).kept.sort("line")["row_id"].to_list()
    assert ids[0] == digest_bytes(b'[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]')
    assert ids[0] == one(tmp_path, "sft", {"prompt": "Hi", "completion": "Yes", "label": True}).kept["row_id"][0]
    assert ids[1] == one(tmp_path, "sft", {"prompt": "Hi", "completion": "Yes", "label": False}).kept["row_id"][0]
    assert ids[0] != ids[1]


RATED: list[tuple[Any, Any]] = [
    ({"label": True}, True),
    ({"label": False}, False),
    ({"label": "False"}, False),
    ({"kto_tag": False}, False),
    ({"rating": "thumbs_down"}, False),
    ({"Feedback": "👍"}, True),
    ({"vote": "Down"}, False),
    ({"thumbs": "up"}, True),
    ({"label": 0}, None),
    ({"label": "bad"}, None),
    ({"rating": 1}, None),
    ({"rating": None}, None),
    ({"score": False}, None),
]


@pytest.mark.parametrize(("fields", "good"), RATED)
def test_a_bad_rating_is_a_weight_of_zero_and_numbers_are_not_guessed_at(
    tmp_path: Path, fields: Any, good: Any
) -> None:
    outcome = one(tmp_path, "sft", {"prompt": "Hi", "completion": "Yes", **fields})
    assert outcome.kept["weights"].to_list() == [[0.0, 0.0] if good is False else None]
    assert json.loads(outcome.kept["meta"][0]) == fields


def test_a_stated_rating_is_understood_or_the_row_is_quarantined(tmp_path: Path) -> None:
    values = [0, 1, "1", "0", None, 4, "good"]
    records = [{"prompt": str(n), "completion": "b", "stars": value} for n, value in enumerate(values)]
    outcome = one(tmp_path, "sft", *records, rating="Stars")
    assert outcome.kept.sort("line")["weights"].is_null().to_list() == [False, True, True, False, True, True]
    assert held(outcome) == [(6, "rating not understood")]
    starred = one(tmp_path, "sft", *records, rating="stars", good_from=4)
    assert starred.kept.filter(pl.col("weights").is_null())["line"].sort().to_list() == [5, 6]
    assert held(starred) == [(7, "rating not understood")]


def test_a_table_without_a_header_is_read_by_the_names_the_recipe_gives(tmp_path: Path) -> None:
    (tmp_path / "SMSSpamCollection").write_text('ham\tGo, now, there\nspam\t"WIN" a prize, now\nham\t"so" he said\n')
    outcome = read(tmp_path, "classification", path="SMSSpamCollection", header=["label", "text"])
    assert labelled(outcome) == [("Go, now, there", "ham"), ('"WIN" a prize, now', "spam"), ('"so" he said', "ham")]
    assert outcome.kept["line"].sort().to_list() == [1, 2, 3]
    (tmp_path / "t.csv").write_text("a;one, two, three\nb;four\n")
    assert labelled(read(tmp_path, "classification", path="t.csv", header=["label", "text"]))[0] == (
        "one, two, three",
        "a",
    )


QUOTED: dict[str, tuple[str, list[tuple[str, str]], int]] = {
    "no quotes, one would swallow the next line": ('x\t"a\ny\tb"\n', [('"a', "x"), ('b"', "y")], 0),
    "no quotes, one would never close": ('x\t"a\ny\tb\n', [('"a', "x"), ("b", "y")], 0),
    "no quotes, one would end too early": ('x\t"a" b\ny\tc\n', [('"a" b', "x"), ("c", "y")], 0),
    "no quotes, and one line of three fields": ('x\t"a" b\ny\t"c" d\nz\te\tf\n', [('"a" b', "x"), ('"c" d', "y")], 1),
    "quotes around a line break": ('x\t"a\nb"\ny\tc\n', [("a\nb", "x"), ("c", "y")], 0),
    "quotes around a tab": ('x\t"a\tb"\ny\tc\n', [("a\tb", "x"), ("c", "y")], 0),
    "quotes that are needless": ('x\t"a"\ny\t"b ""c"""\n', [("a", "x"), ('b "c"', "y")], 0),
}


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("case", QUOTED)
def test_quotes_in_tsv_are_quotes_unless_that_breaks_lines_that_fit(tmp_path: Path, case: str, header: bool) -> None:
    text, expected, bad = QUOTED[case]
    (tmp_path / "t.tsv").write_text(text if header else "label\ttext\n" + text)
    outcome = read(tmp_path, "classification", path="t.tsv", header=["label", "text"] if header else [])
    assert (labelled(outcome), outcome.ledger.height) == (expected, bad)


def test_class_numbers_of_a_dataset_become_their_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["ham", "spam"])}
    )
    made = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    made.save_to_disk(tmp_path / "folder")
    made.to_parquet(tmp_path / "rows.parquet")
    for path in ("folder", "rows.parquet"):
        outcome = read(tmp_path, "classification", path=path)
        assert labelled(outcome) == [("a", "spam"), ("b", "ham")]
        assert held(outcome) == [(3, "no label")]


EVERY = st.sampled_from(
    [
        *(record for record, _ in (*PAIRS.values(), *LABELLED.values())),
        *NO_PAIRS.values(),
        *NOT_LABELLED.values(),
        *({"messages": [ASKED, *said]} for said, _ in WEIGHTED),
        {"prompt": "Hi", "completion": "Yes", "label": False},
    ]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(EVERY, min_size=2, max_size=12),
    kind=st.sampled_from(["sft", "preference", "classification"]),
    data=st.data(),
)
def test_of_any_kinds_mixed_every_record_is_accounted_for_and_order_and_files_change_none(
    tmp_path: Path, records: list[dict[str, Any]], kind: str, data: st.DataObject
) -> None:
    order, cut = data.draw(st.permutations(records)), data.draw(st.integers(1, len(records) - 1))
    for name, part in {"all": records, "part_1": order[:cut], "part_2": order[cut:]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in part))
    whole, parts = read(tmp_path, kind, path="all.jsonl"), read(tmp_path, kind, path="part_*.jsonl")
    assert whole.kept.height + whole.ledger.height == len(records)
    said = ["row_id", "messages", "rejected", "weights", "meta"]
    assert parts.kept.select(said).equals(whole.kept.select(said))
    assert parts.ledger["row_id"].sort().equals(whole.ledger["row_id"].sort())
    assert whole.kept["rejected"].is_null().to_list() == [kind != "preference"] * whole.kept.height


def test_a_source_is_read_from_a_recipe_as_it_is_documented(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("path: SMSSpamCollection\nheader: [label, text]\nrating: stars\ngood_from: 4\n")
    source = read_yaml(recipe, Source)
    assert (source.path, source.header, source.good_from) == ("SMSSpamCollection", ("label", "text"), 4.0)
    recipe.write_text("path: t.tsv\nheader: [label, 2]\n")
    with pytest.raises(RecipeError, match="header"):
        read_yaml(recipe, Source)


class Data(Settings):
    """Sources as a recipe has them."""

    train: tuple[Source, ...] = Field(min_length=1)


ADDRESSES = (
    "postgresql://me:hunter2@host/shop",
    "postgresql://host/shop?password=hunter2",
    "https://host/rows.csv?sig=hunter2",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("named", ["sql: select 1, database", "path"])
@pytest.mark.parametrize("more", ["", ", nosuch: 1", ", good_from: x"])
def test_a_password_in_a_recipe_is_refused_and_not_repeated(
    tmp_path: Path, address: str, named: str, more: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f'train: [{{{named}: "{address}"{more}}}]\n')
    with pytest.raises(RecipeError, match="train" if more else r"train\[0\]: a password has no place") as error:
        read_yaml(recipe, Data)
    assert "hunter2" not in str(error.value)
    recipe.write_text(f'train: "{"x" * 55} {address}"\n')  # cut behind hunter2, where no @ is seen
    with pytest.raises(RecipeError) as error:
        read_yaml(recipe, Data)
    assert "hunter2" not in str(error.value)


WRONG: dict[str, dict[str, Any]] = {
    "a path or sql": {"path": "a", "sql": "select 1", "database": "sqlite:///a.db"},
    "give one of them": {"format": "openai"},
    "sql and database belong together": {"sql": "select 1"},
    "a password has no place in a URL": {"sql": "select 1", "database": "postgresql://me:hunter2@host/shop"},
    "database is no URL": {"sql": "select 1", "database": "hunter2"},
    "header names the columns": {"path": "a.tsv", "header": ["one", "one"]},
    "encoding is a text file's": {"path": "a.csv", "encoding": "cp9999"},
    "rejected only with them": {"path": "a.jsonl", "rejected": "worse"},
    "good_from is of a rating": {"path": "a.jsonl", "good_from": 4},
}


@pytest.mark.parametrize("told", WRONG)
def test_a_source_that_makes_no_sense_is_refused(told: str) -> None:
    with pytest.raises(ValidationError, match=told) as error:
        Source.model_validate(WRONG[told])
    assert "hunter2" not in error.value.errors()[0]["msg"]
