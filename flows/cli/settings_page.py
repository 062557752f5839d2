"""assay settings: every key that a recipe may have, its default and the reason for it, as a page of Markdown.

    assay settings             # all
    assay settings train       # those of one section

Made from the settings' own classes and the comments that stand above their fields, so that there is nothing to keep in
step by hand; docs/SETTINGS.md is this page, and a test holds it to that.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.recipe import Recipe
from tasks.core.errors import RecipeError, nearest
from tasks.core.members import Members
from tasks.core.settings import Settings
from tasks.evaluation.gate_rules.catalog import RULES

HEAD = """\
# Settings

Every key of a recipe, by section, in the order of a run. What a recipe leaves out has the default that stands here, and
the reason is the comment beside it in the code. Any of them can be set for one run: `assay run RECIPE --set KEY=VALUE`.
Written by `assay settings`; it is not edited by hand.
"""
BELOW = "the keys below"
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
LIMITS |= {"min_length": "length at least", "max_length": "length at most", "pattern": "of the form"}


@dataclass(frozen=True)
class Setting:
    """A key, by its whole name, as `train.epochs`; in lists `gate.rules.0.metric`. default: as YAML has it."""

    key: str
    default: str
    allowed: str
    reason: str


def settings_page(section: str = "") -> str:
    """The page, or the part of one section. Raises RecipeError for a section that there is not."""
    sections = list(Recipe.model_fields)
    if section and section not in sections:
        raise RecipeError(
            f"There is no section {section!r} in a recipe.",
            where="the command line",
            allowed=", ".join(sections),
            todo=nearest(section, sections) or "name one of these, or none for all",
        )
    parts = [_part(name) for name in ([section] if section else sections)]
    return "\n".join(([] if section else [HEAD]) + parts)


def _part(name: str) -> str:
    field, model = Recipe.model_fields[name], _model(Recipe.model_fields[name])
    lines = [f"## {name}", ""]
    if model is not None:
        told = field.annotation if isinstance(field.annotation, type) else model  # of members, what they share
        lines += [inspect.cleandoc(told.__doc__ or "").replace("\n", " "), ""]
    lines += [_line(one) for one in _settings(name, field, Recipe, {})]
    return "\n".join([*lines, ""])


def _line(one: Setting) -> str:
    return f"- **`{one.key}`**, {one.default}; {one.allowed}.{' ' * bool(one.reason)}{one.reason}"


def all_settings() -> list[Setting]:
    """Every one there is."""
    return [one for name, field in Recipe.model_fields.items() for one in _settings(name, field, Recipe, {})]


def _settings(key: str, field: FieldInfo, owner: type[BaseModel], told: dict[Any, str]) -> Iterator[Setting]:
    """The setting of a field, and those of the model that it holds. told: where those of a model stand already."""
    model, many = _model(field), get_origin(field.annotation) is tuple
    if model is None or many:
        allowed = _allowed(field)
        allowed = allowed.replace(BELOW, f"the keys of `{told[model]}`") if model in told else allowed
        yield Setting(key, _default(field), allowed, _reason(owner, key.rpartition(".")[2]))
    if model is None or model in told:
        return
    told[model] = inside = f"{key}.0" if many else key
    for name, inner in model.model_fields.items():
        yield from _settings(f"{inside}.{name}", inner, model, told)


def _model(field: FieldInfo) -> type[Settings] | None:
    """The class of settings that the field holds, or holds a list of; of members the default one's."""
    for one in field.metadata:
        if isinstance(one, Members):
            return one.settings()
    found = [kind for kind in _kinds(field.annotation) if isinstance(kind, type) and issubclass(kind, Settings)]
    return found[0] if found else None


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types in an annotation, at any depth."""
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        for one in get_args(annotation):
            yield from _kinds(one)
    elif hasattr(annotation, "__metadata__"):
        yield from _kinds(annotation.__origin__)
    elif annotation is not Ellipsis:
        yield annotation


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return f"default `{json.dumps(value, ensure_ascii=False, default=list)}`"


def _allowed(field: FieldInfo) -> str:
    told = _type(field.annotation)
    limits = [
        f"{words} {getattr(one, name)}" for one in field.metadata for name, words in LIMITS.items() if _has(one, name)
    ]
    return ", ".join([told, *limits])


def _has(constraint: Any, name: str) -> bool:
    return not isinstance(constraint, Members) and getattr(constraint, name, None) is not None


def _type(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_type, inside)))
    if origin is tuple:
        return f"a list of: {_type(inside[0])}"
    if origin is dict:
        return "a mapping"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return f"a mapping of {BELOW}"
    return PLAIN.get(annotation, str(getattr(annotation, "__name__", annotation)))


def _reason(owner: type[BaseModel], name: str) -> str:
    for kind in owner.__mro__:
        if reason := _comments(kind).get(name) if issubclass(kind, Settings) and kind is not Settings else "":
            return reason
    rule = next((rule for rule in RULES if rule.key == name), None)
    return inspect.cleandoc(rule.__doc__ or "").replace("\n", " ") if rule else ""


@cache
def _comments(kind: type[BaseModel]) -> dict[str, str]:
    """The comment above each field of a class, or behind it, as one line."""
    try:
        lines = textwrap.dedent(inspect.getsource(kind)).split("\n")
    except (OSError, TypeError):  # a model that was made while the program ran
        return {}
    (node,) = ast.parse("\n".join(lines)).body
    assert isinstance(node, ast.ClassDef)
    found: dict[str, str] = {}
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            last = next(reversed(found.values()), "")  # a comment above two fields is about both
            end = one.end_lineno or one.lineno
            found[one.target.id] = _above(lines, one.lineno - 1) or _behind(lines[end - 1]) or last
    return found


def _above(lines: list[str], at: int) -> str:
    start = at
    while lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(line.strip().lstrip("#").strip() for line in lines[start:at])


def _behind(line: str) -> str:
    return line.partition("  # ")[2].strip()
