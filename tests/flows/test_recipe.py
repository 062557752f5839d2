"""A recipe is found by name or path, read strictly, and checked as a whole before anything is started."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.recipe import load_recipe
from flows.recipes import installed_recipes
from tasks.core.errors import RecipeError

EXAMPLE = installed_recipes()["support_triage"]
Change = Callable[..., Path]


@pytest.fixture
def changed(tmp_path: Path) -> Change:
    """The example recipe in a folder of its own, with one text in it changed for another."""

    def change(old: str = "", new: str = "") -> Path:
        text = EXAMPLE.read_text()
        assert old in text, "the example changed; this test plants its mistake elsewhere"
        file = tmp_path / "ours" / "recipe.yaml"
        file.parent.mkdir()
        file.write_text(text.replace(old, new, 1))
        return file

    return change


def refused(file: Path) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(file))
    return caught.value


@pytest.mark.parametrize("name", installed_recipes())
def test_every_recipe_that_comes_with_assay_can_be_read(name: str) -> None:
    recipe = load_recipe(name)
    assert all((recipe.folder / source.path).exists() for source in (*recipe.data.train, *recipe.data.holdout))


def test_a_recipe_is_the_same_by_name_by_file_and_by_folder() -> None:
    by_name = load_recipe("support_triage")
    assert load_recipe(str(EXAMPLE)) == load_recipe(str(EXAMPLE.parent)) == by_name
    assert by_name.folder == EXAMPLE.parent


def test_where_a_recipe_lies_is_no_part_of_what_it_says(changed: Change) -> None:
    ours = load_recipe(str(changed()))
    assert ours.folder != EXAMPLE.parent
    assert ours.model_dump(mode="json") == load_recipe("support_triage").model_dump(mode="json")
    assert ours.text == EXAMPLE.read_text()


def test_an_unknown_name_is_told_with_the_recipes_there_are_and_the_nearest() -> None:
    error = refused(Path("support_triag"))
    assert "support_triage" in error.allowed
    assert error.todo == "did you mean 'support_triage'?"


def test_a_folder_without_a_recipe_is_told_as_such(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(tmp_path).where


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  epochs: 2", "  epocs: 2", "train.epocs: no such key"),
        ("  epochs: 2", "  epochs: lots", 'train.epochs: got "lots"'),
        ("kind: sft", "kind: dpo", 'kind: got "dpo"'),
        ("name: support-triage", "name: support/triage", 'name: got "support/triage"'),
        ("  label: intent", "  label: intnt", "answer.label: 'intnt' is no field of answer.json_schema"),
        ("graded: [intent, urgency]", "graded: [intent, urgncy]", "answer.graded[1]: 'urgncy' is no field"),
        ("metric: schema_valid, at_least: 0.95", "metric: schema_vald, at_least: 0.95", "'schema_vald' is no metric"),
        (
            "metric: schema_valid, at_least: 0.95",
            "metric: schema_valid, at_least: 95",
            "gate.rules[1].at_least: the floor",
        ),
    ],
)
def test_each_mistake_is_told_with_key_value_file_and_line(changed: Change, old: str, new: str, told: str) -> None:
    file = changed(old, new)
    error = refused(file)
    assert told in error.what
    assert str(file) in error.where
    assert "line " in error.where
    assert error.exit_code == 2


@pytest.mark.parametrize("key", ["base_model", "data.holdout"])
def test_what_training_needs_is_asked_for_and_curate_does_without(tmp_path: Path, key: str) -> None:
    value = yaml.safe_load(EXAMPLE.read_text())
    section, _, name = key.rpartition(".")
    (value[section] if section else value).pop(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(value))
    with pytest.raises(RecipeError, match="which training needs") as error:
        load_recipe(str(file)).check_trainable()
    assert key in error.value.where
    assert "assay curate" in error.value.todo


@pytest.mark.parametrize("name", ["exact", "call_due", "slice", "answer"])
def test_a_graded_field_cannot_take_a_name_that_evaluation_uses(changed: Change, name: str) -> None:
    file = changed("graded: [intent, urgency]", f"graded: [intent, {name}]")
    file.write_text(
        file.read_text().replace("    properties:\n", f"    properties:\n      {name}: {{type: string}}\n", 1)
    )
    error = refused(file)
    assert f"answer.graded[1]: '{name}' is a name that evaluation keeps for itself, like json_valid" in error.what
    assert "line " in error.where


def test_a_contract_that_does_not_exist_is_told_before_anything_runs(changed: Change) -> None:
    assert "support_trage" in str(refused(changed("contract: support_triage", "contract: support_trage")))


def test_a_plain_string_is_a_source_and_a_source_can_say_more(changed: Change) -> None:
    file = changed("holdout: [holdout.jsonl]", "holdout: [{path: holdout.jsonl, format: openai}]")
    shutil.copy(EXAMPLE.parent / "holdout.jsonl", file.parent)
    (source,) = load_recipe(str(file)).data.holdout
    assert (source.path, source.format) == ("holdout.jsonl", "openai")
    assert load_recipe("support_triage").data.holdout[0].path == "holdout.jsonl"


def test_reading_a_recipe_loads_none_of_the_heavy_libraries() -> None:
    heavy = {"torch", "transformers", "mlflow", "great_expectations", "prefect", "pandas", "datasets"}
    code = f"import sys, flows.recipe; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_names_in_a_file_are_redacted_and_stand_in_no_text_that_is_registered(changed: Change) -> None:
    file = changed("gate:", "redact: {names: [Bo Berg], names_file: staff.txt}\ngate:")
    (file.parent / "staff.txt").write_text("\ufeffZoë Müller\n\n  Ian Jo \r\n", encoding="utf-8")
    recipe = load_recipe(str(file))
    assert recipe.redact.names == ("Bo Berg", "Zoë Müller", "Ian Jo")
    assert "Zoë" not in recipe.text
    assert "staff.txt" in recipe.text


@pytest.mark.parametrize(
    ("staff", "told"),
    [
        (None, "cannot be read (No such file"),
        (b"Ann\nB\n", "staff.txt: no name: 'B'"),
        (b"\xff\xfe\xfa", "no UTF-8 text"),
    ],
)
def test_a_file_of_names_that_cannot_be_used_is_told(changed: Change, staff: bytes | None, told: str) -> None:
    file = changed("gate:", "redact: {names_file: staff.txt}\ngate:")
    if staff is not None:
        (file.parent / "staff.txt").write_bytes(staff)
    error = refused(file)
    assert told in error.what
    assert "redact.names_file" in error.what
