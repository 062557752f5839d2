"""Contracts as people write them: what is taken, what is inherited, and what each slip of the pen is answered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data_contracts import vocabulary
from data_contracts.contract import HERE, Contract, read_contract
from tasks.core.errors import RecipeError


def written(place: Path, text: str, name: str = "mine.yaml") -> Contract:
    (place / name).write_text(text)
    return read_contract(name, place)


def refusal(place: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        written(place, text)
    assert str(place / "mine.yaml") in caught.value.where
    return str(caught.value)


def test_three_lines_are_a_contract(tmp_path: Path) -> None:
    contract = written(
        tmp_path, "name: tiny\nexpectations:\n  - expect_table_row_count_to_be_between: {min_value: 5}\n"
    )
    (only,) = contract.expectations
    assert (contract.name, contract.kind) == ("tiny", "sft")
    assert (only.severity, only.arguments, only.file) == ("block", {"min_value": 5}, "mine.yaml")


def test_both_spellings_of_a_name_mean_the_same(tmp_path: Path) -> None:
    contract = written(
        tmp_path,
        "expectations:\n  - ExpectColumnValuesToBeUnique: {column: prompt_key}\n"
        "  - expect_column_values_to_be_unique: {column: row_id}\n"
        "  - ExpectColumnKLDivergenceToBeLessThan: {column: label, threshold: 0.1}\n",
    )
    assert [e.name for e in contract.expectations] == [
        "expect_column_values_to_be_unique",
        "expect_column_values_to_be_unique",
        "expect_column_kl_divergence_to_be_less_than",
    ]


def test_a_misspelt_expectation_is_answered_with_the_near_ones(tmp_path: Path) -> None:
    told = refusal(tmp_path, "expectations:\n  - expect_column_value_to_be_between: {column: prompt_words}\n")
    assert "'expect_column_value_to_be_between'" in told
    assert "expect_column_values_to_be_between" in told


def test_an_expectation_that_needs_a_database_is_not_offered(tmp_path: Path) -> None:
    assert "expect_query_results_to_match_comparison" in refusal(
        tmp_path, "expectations:\n  - expect_query_results_to_match_comparison: {base_query: x}\n"
    )


@pytest.mark.parametrize(
    ("line", "got", "near"),
    [
        ("- expect_table_row_count_to_be_between: {minimum_value: 3}", "'minimum_value'", "min_value"),
        ("- expect_column_values_to_be_unique: {column: promt_key}", "'promt_key'", "prompt_key"),
        ("- expect_column_values_to_be_unique: {}", "'column' is missing", "mostly"),
        ("- expect_column_to_exist: {column: label, severity: block}", "'severity'", "column_index"),
        ("- {expect_column_to_exist: {column: label}, severty: warn}", "'severty'", "severity"),
        ("- {expect_column_to_exist: {column: label}, severity: error}", "'error'", "block, warn"),
        ("- {expect_column_to_exist: {column: label}, severity: [block]}", "['block']", "block, warn"),
        ("- expect_column_to_exist: label", "label", "{arguments}"),
        ("- expect_column_values_to_be_balanced: {column: label, max_shares: 1}", "'max_shares'", "max_share"),
        ("- {severity: warn}", "warn", "expect_"),
        ("- just words", "just words", "expect_"),
    ],
)
def test_a_slip_names_what_it_got_and_what_may_stand_there(tmp_path: Path, line: str, got: str, near: str) -> None:
    told = refusal(tmp_path, f"expectations:\n  {line}\n")
    assert got in told.splitlines()[0]
    assert "expectation 1" in told
    assert near in told.split("allowed:")[1]


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("nmae: x\nextends: sft\n", "'nmae'"),
        ("name: ../mine\nextends: sft\n", "../mine"),
        ("kind: stf\nextends: sft\n", "'stf'"),
        ("kind: preference\nextends: sft\n", "'preference'"),
        ("name: empty\n", "[]"),
        ("expectations: {}\nextends: sft\nname: [", "not YAML"),
        ("- a list\n", "a list"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, got: str) -> None:
    assert got in refusal(tmp_path, text)


def test_an_unknown_contract_is_answered_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match="support_triage"):
        read_contract("suport_triage")


def test_a_child_replaces_what_has_its_name_and_column_and_keeps_the_rest(tmp_path: Path) -> None:
    line = "{expect_column_values_to_be_unique: {column: prompt_key}, severity: block}"
    child = written(tmp_path, f"extends: sft\nexpectations:\n  - {line}\n")
    parent = read_contract("sft")
    unique = [e for e in child.expectations if e.name == "expect_column_values_to_be_unique"]
    assert [(e.severity, e.file) for e in unique] == [("block", "mine.yaml")]
    assert len(child.expectations) == len(parent.expectations)


def test_a_contract_that_extends_itself_is_refused_with_the_chain(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("extends: mine.yaml\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml -> other\.yaml -> mine\.yaml"):
        written(tmp_path, "extends: other.yaml\n")


def test_the_same_text_in_another_folder_is_the_same_contract(tmp_path: Path) -> None:
    text = "extends: sft\nexpectations:\n  - expect_table_row_count_to_be_between: {min_value: 5}\n"
    places = [tmp_path / "a", tmp_path / "b"]
    for place in places:
        place.mkdir()
    one, two = (written(place, text) for place in places)
    assert one.model_dump_json() == two.model_dump_json()
    assert str(tmp_path) not in one.model_dump_json()


@pytest.mark.parametrize("file", sorted(HERE.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_contract_of_the_house_can_be_read_and_says_why(file: Path) -> None:
    assert all(expectation.why for expectation in read_contract(file.stem).expectations)


def test_the_default_contract_explains_every_column_in_its_header() -> None:
    lines = (HERE / "sft.yaml").read_text().splitlines()
    header = {tuple(line[1:].split(maxsplit=1)) for line in lines if line.startswith("#")}
    assert header >= set({**vocabulary.COLUMNS, **vocabulary.COSTLY}.items())


def test_reading_a_contract_imports_nothing_heavy() -> None:
    code = (
        "import sys; from data_contracts.contract import read_contract; read_contract('support_triage'); "
        "print([m for m in ('great_expectations', 'pandas', 'polars', 'prefect') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_names_and_arguments_read_from_files_are_those_of_the_classes() -> None:
    """Guards the shortcut of vocabulary.py, and our own entries in it, against a new version of Great Expectations."""
    from great_expectations.expectations.registry import get_expectation_impl

    import data_contracts.expectations  # noqa: F401 - registers ours

    for name in vocabulary.expectations():
        fields = get_expectation_impl(name).__fields__.values()
        schema = vocabulary._schema(name)
        # What a rate of ours is of, it says itself.
        rate = {"column", "mostly"} if vocabulary.fact_of(name, {}) else set()
        rate |= {"max_rate"} if "min_rate" in schema["properties"] else set()
        if schema["properties"]:
            assert set(schema["properties"]) == {f.alias for f in fields} - vocabulary.BOOKKEEPING - rate, name
            needed = {f.alias for f in fields if f.required} - rate
            assert set(schema.get("required", [])) == needed or name in vocabulary.OWN, name
            assert needed <= set(schema.get("required", [])), name
