"""What a run form overrides stands in the recipe's text as if it had been written there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flows.overrides import overridden
from flows.recipe import load_recipe
from flows.recipes import installed_recipes
from tasks.core.errors import RecipeError

EPOCHS, RATE, ROWS = ("train", "epochs"), ("train", "learning_rate"), ("select", "rows")


@pytest.mark.parametrize(
    "text",
    [
        "name: a\ntrain:\n  epochs: 5   # five\n  seed: 3\n",
        "name: a\ntrain:\n  seed: 3\nselect: {}\n",
        "name: a\ntrain: {seed: 3}",
        "name: a\ntrain: {}\nselect: {rows: 9, cover: 1}",
        "name: a",
        "name: a\ntrain:\n      epochs: 4",
    ],
)
def test_only_what_was_asked_changes(text: str) -> None:
    before = yaml.safe_load(text)
    after = yaml.safe_load(overridden(text, {EPOCHS: 2, ROWS: 50}))
    expected = {**before, "train": {**before.get("train", {}), "epochs": 2}}
    assert after == {**expected, "select": {**before.get("select", {}), "rows": 50}}


def test_comments_stay() -> None:
    text = installed_recipes()["support_triage"].read_text()
    changed = overridden(text, {RATE: 0.001})
    differing = [pair for pair in zip(text.splitlines(), changed.splitlines(), strict=True) if pair[0] != pair[1]]
    assert differing == [("  learning_rate: 0.0025         # twice the default: short runs bear more",
                          "  learning_rate: 0.001         # twice the default: short runs bear more")]  # fmt: skip


def test_a_recipe_with_overrides_is_the_recipe_of_its_own_text(tmp_path: Path) -> None:
    plan = load_recipe("support_triage", {EPOCHS: 1, ROWS: 60, RATE: 1e-05, ("train", "seed"): 11})
    assert (plan.train.epochs, plan.select.rows, plan.train.learning_rate, plan.train.seed) == (1, 60, 1e-05, 11)
    (tmp_path / "recipe.yaml").write_text(plan.text)
    (tmp_path / "raw").symlink_to(plan.folder / "raw")
    assert load_recipe(str(tmp_path)).model_dump() == plan.model_dump()


def test_a_value_that_the_recipe_would_refuse_is_refused_from_the_form_too() -> None:
    with pytest.raises(RecipeError, match=r"train\.epochs: got 900"):
        load_recipe("support_triage", {EPOCHS: 900})
