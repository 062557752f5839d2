"""Read a strict model from a YAML file that a person edits; errors name file, line, key, value and what is allowed.

    recipe = read_yaml(Path("recipe.yaml"), Recipe)

Duplicate and unknown keys are refused, and nothing is coerced: `epochs: true` is a mistake, not one epoch.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tasks.core.errors import RecipeError, nearest
from tasks.core.members import Members
from tasks.core.urls import masked

M = TypeVar("M", bound=BaseModel)
Location = Sequence[str | int]
SHOWN = 80  # characters of a wrong value that are quoted


@dataclass(frozen=True)
class Mistake:
    """One thing wrong. line: 1-based, where the key stands or should stand. what: `key: problem`."""

    line: int
    what: str
    allowed: str
    todo: str

    def __str__(self) -> str:
        return "; ".join(filter(None, (self.what, self.todo, self.allowed and f"allowed: {self.allowed}")))


def read_yaml(file: Path, model: type[M], *, noun: str = "recipe", text: str = "") -> M:
    """The YAML `file` as a `model`. Raises RecipeError for what cannot be read, is repeated, unknown, missing or wrong.

    noun: what the file is called in messages. text: what to read instead of the file's own.
    """
    try:
        loader = yaml.SafeLoader(text or file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        value = loader.construct_document(node) if node else None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"The {noun} cannot be read: {error}.",
            where=as_typed(file),
            allowed="UTF-8 text",
            todo="name a file of text that the user of this process may read",
        ) from error
    except yaml.YAMLError as error:
        raise _syntax(file, noun, error) from None  # its own words quote the line
    if not isinstance(node, yaml.MappingNode):
        raise RecipeError(
            f"The {noun} holds no keys.",
            where=as_typed(file),
            allowed="lines of `key: value`",
            todo=f"name the file of a {noun}, or fill this one",
        )
    if mistakes := _repeated(node, ()):
        raise _refusal(file, noun, mistakes)
    try:
        # Through JSON, because pydantic's strict mode takes a list for a tuple from JSON only.
        return model.model_validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise _refusal(file, noun, [_mistake(e, node, model) for e in _first_causes(error.errors())]) from None


def as_typed(file: Path) -> str:
    """A path as a person would type it: relative where it lies below the working directory."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def refuse(
    file: Path, location: Location, problem: str, *, allowed: str = "", todo: str = "", text: str = ""
) -> RecipeError:
    """An error about a value that is well formed but cannot work together with the rest of the file.

    text: what was read instead of the file's own.
    """
    node = yaml.compose(text or file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return _refusal(file, "recipe", [Mistake(_line(node, location), f"{_path(location)}: {problem}", allowed, todo)])


def _syntax(file: Path, noun: str, error: yaml.YAMLError) -> RecipeError:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = getattr(error, "problem", None) or str(error)
    return RecipeError(
        f"The {noun} is not valid YAML: {problem}.",
        where=f"{as_typed(file)}{place}",
        todo="mend this line; indent with spaces, and quote texts that hold a colon, a # or a brace",
    )


def _refusal(file: Path, noun: str, mistakes: list[Mistake]) -> RecipeError:
    first = mistakes[0]
    if len(mistakes) == 1:
        return RecipeError(
            f"The {noun} has a mistake: {first.what}.",
            where=f"{as_typed(file)}, line {first.line}",
            allowed=first.allowed,
            todo=first.todo or f"correct this line of the {noun}",
        )
    lines = [f"\n  line {m.line}: {m}" for m in sorted(mistakes, key=lambda m: m.line)]
    what = f"The {noun} has {len(mistakes)} mistakes:{''.join(lines)}"
    return RecipeError(what, where=as_typed(file), todo="correct these lines")


def _repeated(node: yaml.Node, above: tuple[str | int, ...]) -> list[Mistake]:
    """Keys that occur twice in one mapping; YAML readers keep the last and say nothing."""
    if isinstance(node, yaml.SequenceNode):
        return [m for i, child in enumerate(node.value) for m in _repeated(child, (*above, i))]
    if not isinstance(node, yaml.MappingNode):
        return []
    found: list[Mistake] = []
    seen: dict[str, int] = {}
    for key, child in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            what = f"{_path((*above, key.value))}: stands twice, first on line {seen[key.value]}"
            found.append(Mistake(line, what, "each key once", "keep one of them"))
        seen.setdefault(str(key.value), line)
        found += _repeated(child, (*above, str(key.value)))
    return found


def _first_causes(errors: Sequence[Any]) -> list[Any]:
    """Without what only follows: a list of which every element is wrong is also too short, to pydantic."""
    within = [tuple(error["loc"][:n]) for error in errors for n in range(len(error["loc"]))]
    return [error for error in errors if error["type"] != "too_short" or tuple(error["loc"]) not in within]


def _mistake(error: Any, root: yaml.Node, model: type[BaseModel]) -> Mistake:
    location, kind, got = error["loc"], error["type"], error["input"]
    line, path = _line(root, location), _path(location)
    if kind == "extra_forbidden":
        keys = [key for m in _models_at(model, root, location[:-1]) for key in m.model_fields]
        return Mistake(line, f"{path}: no such key", ", ".join(keys), nearest(str(location[-1]), keys))
    if kind == "missing":
        return Mistake(line, f"{path}: missing, but required", "", "add this key")
    shown = masked(json.dumps(got, ensure_ascii=False, default=str))  # before it is cut: half a password shows no @
    shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + " ..."
    expected = error.get("ctx", {}).get("expected", "")
    if kind in ("literal_error", "enum"):
        choices = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
        return Mistake(line, f"{path}: got {shown}", ", ".join(choices), nearest(str(got), choices))
    if kind in ("value_error", "assertion_error"):  # a settings class's own check, in its own words
        return Mistake(line, f"{path}: {error['ctx']['error']}", "", "")
    allowed = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return Mistake(line, f"{path}: got {shown}", allowed, "")


def _path(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the whole file"


def _line(node: yaml.Node | None, location: Location) -> int:
    """The line of the deepest part of `location` that the file has; 1-based."""
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            for key, child in node.value:
                if key.value == part:
                    node, line = child, key.start_mark.line
                    break
    return int(line) + 1


def _models_at(model: type[BaseModel], root: yaml.Node, location: Location) -> list[type[BaseModel]]:
    """The models that may stand at `location`; several where a field takes one of several."""
    node: yaml.Node | None = root
    models = [model]
    for part in location:
        named = [m for m in models if m.__name__ == part]  # pydantic puts the member of a union into the location
        fields = [m.model_fields[part] for m in models if isinstance(part, str) and part in m.model_fields]
        node = node if named else _child(node, part)
        models = named or ([found for f in fields for found in _models_of(f, node)] if fields else models)
    return models


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    return {key.value: value for key, value in node.value}.get(part) if isinstance(node, yaml.MappingNode) else None


def _models_of(field: FieldInfo, node: yaml.Node | None) -> list[type[BaseModel]]:
    """The models of a field whose value is `node`: of one with members, what reads the member that is chosen there."""
    seams = [one for one in field.metadata if isinstance(one, Members)]
    chosen = {key.value: value.value for key, value in node.value} if isinstance(node, yaml.MappingNode) else None
    return [seam.settings(chosen) for seam in seams] or _models_in(field.annotation)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]
