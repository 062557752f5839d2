"""A section with members is read by the one that is chosen, and its mistakes are told as any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.recipe import Recipe, load_recipe
from tasks.core.errors import RecipeError
from tasks.core.text.strict_yaml import read_yaml
from tasks.training.methods.sft import SftSettings
from tasks.training.weights.lora import LoraSettings

FILE = Path(__file__).parents[3] / "flows" / "recipes" / "support_triage" / "recipe.yaml"


def read(lines: str) -> Recipe:
    return read_yaml(FILE, Recipe, text=FILE.read_text().replace("  epochs: 2\n", lines))


def test_a_recipe_that_names_no_member_has_the_default_ones() -> None:
    train = load_recipe("support_triage").train
    assert type(train) is SftSettings
    assert train.weights == LoraSettings(rank=16, alpha=32)


def test_the_keys_of_lora_mean_the_same_beside_the_others_as_in_weights() -> None:
    old, new = read("  rank: 8\n  alpha: 4\n"), read("  method: sft\n  weights: {form: lora, rank: 8, alpha: 4}\n")
    assert old.train == new.train
    assert old.train.model_dump()["weights"] == {"form": "lora", "rank": 8, "alpha": 4}


@pytest.mark.parametrize(
    ("lines", "what", "allowed", "todo"),
    [
        ("  method: stf\n", 'train.method: got "stf"', "sft", "did you mean 'sft'?"),
        ("  weights: {form: lara}\n", 'train.weights.form: got "lara"', "lora", "did you mean 'lora'?"),
        ("  weights: {rnk: 8}\n", "train.weights.rnk: no such key", "form, rank, alpha", "did you mean 'rank'?"),
        ("  epocs: 2\n", "train.epocs: no such key", "method, weights, epochs", "did you mean 'epochs'?"),
        ("  rank: 8\n  weights: {rank: 8}\n", "train: rank stands here and in weights", "", "correct this line"),
        ("  weights: {rank: 1.5}\n", "train.weights.rank: got 1.5", "integer", "correct this line"),
    ],
)
def test_a_mistake_in_a_section_with_members_is_told_with_what_the_chosen_one_allows(
    lines: str, what: str, allowed: str, todo: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        read(lines)
    assert what in caught.value.what
    assert caught.value.allowed.startswith(allowed)
    assert todo in caught.value.todo
