"""The parameters of flows, made for the run form of the Prefect UI: flat, described, with a default, no null and no
union.

    def retrain(recipe: RecipeName = DEFAULT, recipe_path: RecipePath = "", rows: Rows = 0, ..., settings=()): ...
    plan = recipe_from_form(recipe, recipe_path, {ROWS: rows, ...}, settings)

The form shows them in the order of the signature, and `enum` as a drop-down; the server refuses what breaks the schema
before a run exists. 0 (or nothing, for a text) means: as the recipe says.

`settings` set any key of a recipe, and are for the command line alone (`--set`): who presses Run may choose how long is
trained, but what the gate asks, who approves, and what files and code are used is for the owner of the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from flows.overrides import Key, Overrides, assigned
from flows.recipe import Recipe, load_recipe
from flows.recipes import installed_recipes
from tasks.core.errors import RecipeError
from tasks.core.text.user_input import quoted
from tasks.training.settings import MOST_SEED

DEFAULT = next(iter(installed_recipes()))  # what the form shows first
# The recipe's keys that the form can override, and so what `recipe_from_form` is given.
ROWS: Key = ("select", "rows")
EPOCHS: Key = ("train", "epochs")
RATE: Key = ("train", "learning_rate")
SEED: Key = ("train", "seed")
MINUTES: Key = ("train", "deadline_minutes")
SETTINGS = "settings"  # the parameter that no form has: flows/servers/deploy.py leaves it out
AS_RECIPE = "0: as the recipe says."


def shown(title: str, description: str, *, schema: dict[str, Any] | None = None, **rules: Any) -> Any:
    """A parameter as the form shows it. rules: pydantic's (ge, le, ...). schema: further keys of its JSON schema.

    Prefect puts a title and a description of its own over those of an annotated Field, but keeps what json_schema_extra
    says.
    """
    return Field(json_schema_extra={"title": title, "description": description, **(schema or {})}, **rules)


# enum in the schema alone, so that the form has its drop-down and a wrong name is still told in our own words.
RecipeName = Annotated[
    str,
    shown(
        "Recipe",
        "Which installed recipe to run. A recipe says what is learnt from what, and what must hold.",
        schema={"enum": list(installed_recipes())},
        min_length=1,
    ),
]
RecipePath = Annotated[
    str,
    shown(
        "Or a recipe of your own",
        "Path of a recipe file, or of its folder, as the worker sees it. If filled in, this one counts.",
    ),
]
Rows = Annotated[int, shown("Rows to keep", f"At most so many rows, chosen to stand for the whole. {AS_RECIPE}", ge=0)]
Epochs = Annotated[
    int,
    shown(
        "Epochs",
        f"Passes over the training rows; two to four are usual, 100 the most. {AS_RECIPE}",
        ge=0,
        le=100,
    ),
]
LearningRate = Annotated[
    float,
    shown(
        "Learning rate",
        f"The optimiser's peak rate, for example 0.001; 0.1 is the most. {AS_RECIPE}",
        ge=0,
        le=0.1,
    ),
]
Seed = Annotated[
    int,
    shown(
        "Seed",
        f"Decides the initial weights and the order of rows. {AS_RECIPE}",
        ge=0,
        le=MOST_SEED,
    ),
]
Minutes = Annotated[
    int,
    shown(
        "Minutes of training",
        f"Training is ended after so many minutes; the next run goes on from its checkpoint. {AS_RECIPE}",
        ge=0,
        le=10_080,
    ),
]
Assignments = Annotated[
    Sequence[str],
    shown(
        "Other settings",
        "Any keys of the recipe, as KEY=VALUE: train.epochs=2. Set by `assay run --set`.",
    ),
]


def recipe_from_form(
    recipe: str, recipe_path: str = "", overrides: Overrides | None = None, settings: Sequence[str] = ()
) -> Recipe:
    """The recipe that a form or the command asks for. settings: KEY=VALUE texts, which count before the form's fields.

    Raises RecipeError for one that is not there or does not fit together.
    """
    asked = {key: value for key, value in (overrides or {}).items() if value}
    if not recipe_path and recipe not in installed_recipes():
        raise RecipeError(
            f"There is no installed recipe {quoted(recipe)}.",
            where="parameter: recipe",
            allowed=", ".join(installed_recipes()),
            todo="choose one of these, or give the path of your own recipe as recipe_path",
        )
    return load_recipe(recipe_path or recipe, {**asked, **assigned(settings)})
