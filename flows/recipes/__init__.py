"""The recipes that come with Assay: each a folder with a recipe.yaml and its data. Listing them reads none of them."""

from pathlib import Path

RECIPES = Path(__file__).parent
FILE = "recipe.yaml"


def installed_recipes() -> dict[str, Path]:
    """Name to file, in the order of the alphabet."""
    return {file.parent.name: file for file in sorted(RECIPES.glob(f"*/{FILE}"))}
