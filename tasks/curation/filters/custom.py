"""A data team's own filter rules: one small function each, named in the recipe.

    filter: {rules: ["rules.py:no_signature", "ours.curation:short"]}     # a file beside the recipe, or a module

    def no_signature(row):      # row: row_id, source, line, messages, rejected, weights, meta (an object)
        if "Regards" not in row["messages"][-1]["content"]:
            return "drop", "no signature", {"message": len(row["messages"])}     # action, reason, evidence

drop or quarantine; a function that returns None keeps the row. The same row must always give the same answer. Evidence
is JSON and stays in the ledger, so no texts in it. What the file or the module's package says is part of the step's
cache key; the libraries it uses are not.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.allowed_folders import check_inside
from tasks.core.errors import RecipeError
from tasks.core.home import digest_json, digest_path
from tasks.curation.filters.base import Row

ALLOWED = "<file beside the recipe>.py:<function>, or <module that can be imported>:<function>"
RETURNS = 'None, or ("drop" or "quarantine", reason, evidence), the last two a text and an object'
RuleResult = tuple[str, str, dict[str, Any]]  # action, reason, evidence


class OwnRule(BaseModel):
    """A rule that was found. file stays out of the cache key: the digest names the same code in any place."""

    model_config = ConfigDict(frozen=True)

    name: str  # as the recipe writes it
    digest: str  # of its file, or of all Python files of its package
    file: str = Field(default="", exclude=True)  # empty for a module


def find_rules(names: tuple[str, ...], folder: Path) -> list[OwnRule]:
    """Look up where each rule is, and import nothing. folder: the recipe's. Raises RecipeError for one that is not
    there.
    """
    return [_find(name, folder) for name in names]


def _find(name: str, folder: Path) -> OwnRule:
    place, _, function = name.rpartition(":")
    if not place or not function.isidentifier():
        raise _refused(name, "does not name a function")
    if place.endswith(".py"):
        file = check_inside(folder / place, "recipe: filter.rules")
        if not file.is_file():
            raise _refused(name, "names no file in the recipe's folder")
        return OwnRule(name=name, digest=digest_path(file), file=str(file))
    return OwnRule(name=name, digest=_package_digest(name, place))


def _package_digest(name: str, module: str) -> str:
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])  # the package's own code is not run for this
    except (ImportError, ValueError):
        spec = None
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise _refused(name, "names no module that Python finds")
    folders = [Path(folder) for folder in spec.submodule_search_locations or []]
    found = [(file.relative_to(folder), file) for folder in folders for file in folder.rglob("*.py")]
    files = sorted(found) or [(Path(), Path(str(spec.origin)))]
    return digest_json([[name.as_posix(), digest_path(file)] for name, file in files])


def load_rule(rule: OwnRule) -> Callable[[Row], RuleResult | None]:
    """Load the rule as a function of a row. Raises RecipeError when it cannot be loaded, fails on a row, or returns
    nonsense.
    """
    place, _, name = rule.name.rpartition(":")
    try:
        function = getattr(_run_file(rule) if rule.file else importlib.import_module(place), name)
    except Exception as error:
        raise _refused(rule.name, f"cannot be loaded: {error!r}") from error

    def judge(row: Row) -> RuleResult | None:
        try:
            result = function({**row, "meta": json.loads(row["meta"] or "{}")})
        except Exception as error:
            raise _refused(rule.name, f"fails on row {row['row_id'][:16]}: {type(error).__name__}") from error
        return None if result is None else _checked(rule.name, result)

    return judge


def _run_file(rule: OwnRule) -> Any:
    spec = importlib.util.spec_from_file_location(f"assay_rules_{rule.digest[:16]}", rule.file)
    if spec is None or spec.loader is None:
        raise ImportError(rule.file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checked(name: str, result: Any) -> RuleResult:
    match result:
        case ("drop" | "quarantine" as action, str(reason), dict(evidence)) if reason.strip():
            return action, reason, evidence
    raise _refused(name, f"returned {type(result).__name__} where {RETURNS} is expected")


def _refused(name: str, problem: str) -> RecipeError:
    return RecipeError(
        f"The rule {name!r} {problem}.",
        where="recipe: filter.rules",
        allowed=ALLOWED,
        todo="correct the rule or its name",
    )
