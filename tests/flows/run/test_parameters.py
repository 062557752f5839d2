"""The run form of the Prefect UI: what a person who has never seen the code is shown, and what is refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from prefect.utilities.callables import parameter_schema

from flows.curate import curate
from flows.recipes import installed_recipes
from flows.retrain import retrain
from flows.run.parameters import EPOCHS, recipe_from_form
from flows.servers.deploy import closed
from tasks.core.errors import RecipeError


def schema(flow: Any) -> dict[str, Any]:
    """The form as it is deployed."""
    form: dict[str, Any] = closed(parameter_schema(flow.fn)).model_dump()
    return form


@pytest.mark.parametrize("flow", [retrain, curate])
def test_every_field_has_a_title_a_description_and_a_plain_default(flow: Any) -> None:
    for field in schema(flow)["properties"].values():
        assert field["title"][0].isupper()
        assert field["description"].endswith(".")
        assert field["type"] in ("string", "integer", "number")
        assert field["default"] is not None
        assert not {"anyOf", "oneOf", "$ref"} & field.keys()


def test_the_recipe_comes_first_and_is_a_drop_down_of_what_is_installed() -> None:
    fields = schema(retrain)["properties"]
    assert fields["recipe"]["enum"] == list(installed_recipes())
    assert sorted(fields, key=lambda name: fields[name]["position"])[:3] == ["recipe", "recipe_path", "rows"]


def test_the_form_left_as_it_is_is_valid_and_is_the_recipe_itself() -> None:
    told = schema(retrain)
    jsonschema.validate({name: field["default"] for name, field in told["properties"].items()}, told)
    assert recipe_from_form("support_triage", "", {EPOCHS: 0}).text == installed_recipes()["support_triage"].read_text()


BAD: list[dict[str, Any]] = [{"recipe": "nonsense"}, {"epochs": 101}, {"rows": -1}, {"learning_rate": "fast"}]


@pytest.mark.parametrize("given", [*BAD, {"settings": ["gate.rules.0.at_least=0.1"]}])
def test_the_form_refuses_a_bad_value(given: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, schema(retrain))


def test_a_name_that_slips_past_the_form_is_told_with_what_is_allowed() -> None:
    with pytest.raises(RecipeError, match=r"no installed recipe 'nonsense'[\s\S]*support_triage[\s\S]*recipe_path"):
        recipe_from_form("nonsense")


def test_what_is_set_on_the_command_line_counts_before_the_fields_of_the_form() -> None:
    plan = recipe_from_form("support_triage", "", {EPOCHS: 5}, ["train.epochs=4", "train.patience=9"])
    assert (plan.train.epochs, plan.train.patience) == (4, 9)
