"""Optional allow-list of folders that a run may read and write: recipes given by path, and local files that recipes or
forms name.

    ASSAY_RECIPES=/srv/recipes:/srv/exports

A recipe is trusted as code is: it may name Python functions as rules, and any file that the worker's user may read. But
the path of a recipe is typed into a form. With this variable set on a worker, what lies outside these folders, also by
a link or by `..`, is neither read nor written. Left out: no limit but the user's rights. ASSAY_HOME and what is
installed are always in.
"""

from __future__ import annotations

import os
from pathlib import Path

from tasks.core.errors import RecipeError
from tasks.core.home import home

FOLDERS = "ASSAY_RECIPES"
# Where flows/recipes and data_contracts lie, whatever a checkout or a wheel calls it.
INSTALLED = Path(__file__).resolve().parents[__name__.count(".")]


def check_inside(path: Path, where: str) -> Path:
    """`path`, resolved. Raises RecipeError where it lies outside the folders of ASSAY_RECIPES. where: the key that
    names it.
    """
    real = path.resolve()
    allowed = [Path(folder).resolve() for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    always = [home().resolve(), INSTALLED / "flows" / "recipes", INSTALLED / "data_contracts"]
    if not allowed or any(real.is_relative_to(folder) for folder in (*allowed, *always)):
        return real
    raise RecipeError(
        f"{path} lies outside the folders that runs here may use.",
        where=where,
        allowed=", ".join(map(str, allowed)),
        todo=f"move it there, or let who runs the worker add its folder to {FOLDERS}",
    )
