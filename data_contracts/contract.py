"""A contract: what a dataset must be before anything trains on it, in a short YAML file that a data team edits.

    name: support_triage
    extends: sft              # its expectations hold too; one with the same name and columns here takes its place
    expectations:
      - expect_column_values_to_be_between: {column: prompt_words, min_value: 1, max_value: 400, mostly: 0.99}
        severity: warn        # warn is shown, block (unless said) stops the flow
        why: A message of more than 400 words is mostly a quoted thread.

Every expectation of Great Expectations (GX) that runs on pandas works by its name, snake_case or CamelCase, with the
arguments of GX, and so do our own (custom_expectations.py). sft.yaml lists the columns. Reading one imports nothing
heavy.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import yaml

from data_contracts import vocabulary
from tasks.core.allowed_folders import check_inside
from tasks.core.errors import RecipeError
from tasks.core.row_kind import KINDS, SFT
from tasks.core.settings import Settings

Severity = Literal["block", "warn"]
HERE = Path(__file__).parent
SEVERITIES: tuple[Severity, ...] = ("block", "warn")
BESIDE = ("severity", "why")  # what may stand beside an expectation's name


class Expectation(Settings):
    """One line of a contract. name: in snake case. file: the contract file that says it, for a person to find it in."""

    name: str
    arguments: dict[str, Any]
    severity: Severity = "block"  # a rule somebody wrote down is meant, unless they say otherwise
    why: str = ""
    file: str

    @property
    def rule(self) -> str:
        """The rule in words: `prompt_words: values to be between (min_value 1, max_value 400)`."""
        words = self.name.removeprefix("expect_").removeprefix("column_").replace("_", " ")
        told = ", ".join(f"{key} {short(value, 40)}" for key, value in self.arguments.items() if key != "column")
        column = self.arguments.get("column")
        return (f"{column}: " if column else "") + words + (f" ({told})" if told else "")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of, in the order of its arguments."""
        return vocabulary.columns_of(self.name, self.arguments)


class Contract(Settings):
    """What a dataset of one kind must be: the parent's expectations first, then its own."""

    name: str
    kind: str = SFT.name
    description: str = ""
    expectations: tuple[Expectation, ...]


def read_contract(name: str, base: Path = HERE) -> Contract:
    """The contract `name`: a .yaml file relative to `base`, or one of data_contracts/ by its name alone.

    Raises RecipeError, before any row is read: the file, the key, what stood there, and what may.
    """
    return _read(name, base, ())


def check_kind(contract: Contract, kind: str) -> None:
    """Raise RecipeError unless the contract is one for datasets of this kind."""
    if contract.kind != kind:
        raise RecipeError(
            f"The recipe's kind is {kind}, and its contract {contract.name} is for {contract.kind}.",
            where="recipe: kind, contract",
            allowed=f"a contract of kind {kind}, such as {kind}",
            todo=f"correct one of the two, or let the contract say `extends: {kind}`",
        )


def short(value: Any, length: int = 80) -> str:
    """A value as one line of at most `length` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _read(name: str, base: Path, readers: tuple[Path, ...]) -> Contract:
    path = _find(name, base)
    where = str(path)
    if path in readers:
        chain = " -> ".join(p.name for p in (*readers, path))
        raise RecipeError("A contract extends itself.", where=chain, todo="take one `extends` out")
    told = _load(path)
    vocabulary.only(told, ("name", "kind", "extends", "description", "expectations"), "key", where)
    parent = _read(str(told["extends"]), path.parent, (*readers, path)) if told.get("extends") else None
    kind = told.get("kind") or (parent.kind if parent else SFT.name)
    vocabulary.only([kind], [parent.kind] if parent else KINDS, "kind", where)
    items = told.get("expectations") or []
    if not isinstance(items, list) or not (items or parent):
        raise _misfit("expectations", items, "a list of at least one, or `extends: sft`", where)
    called = str(told.get("name") or path.stem)
    if not re.fullmatch(r"[\w.-]+", called):  # it becomes part of a folder's name
        raise _misfit("name", called, "letters, digits, _ . and -", where)
    own = tuple(_expectation(item, f"{path}, expectation {n}", path) for n, item in enumerate(items, 1))
    return Contract(
        name=called,
        kind=kind,
        description=str(told.get("description") or ""),
        expectations=_merge(parent.expectations if parent else (), own),
    )


def _find(name: str, base: Path) -> Path:
    path = base / name if name.endswith((".yaml", ".yml")) else HERE / f"{name}.yaml"
    if path.is_file():
        return check_inside(path, "recipe: contract")
    raise RecipeError(
        f"There is no contract {name!r}.",
        where=str(path),
        allowed=f"{', '.join(sorted(p.stem for p in HERE.glob('*.yaml')))}, or the path of a .yaml file",
        todo="correct the name, or write that file: a name and one expectation are enough",
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"A contract is not YAML: {error}", where=str(path), todo="correct the contract") from error
    if not isinstance(told, dict):
        raise _misfit("contract", told, "keys with values: name, extends, expectations", str(path))
    return told


def _expectation(item: Any, where: str, path: Path) -> Expectation:
    """An item: the expectation's name with its arguments, and beside it, if wanted, severity and why."""
    form = "`- expect_...: {arguments}`, with severity and why beside it if wanted"
    names = [str(key) for key in item if key not in BESIDE] if isinstance(item, dict) else []
    if not names:
        raise _misfit("expectation", item, form, where)
    known = [key for key in names if vocabulary.spelled(key) in vocabulary.expectations()]
    if known:
        vocabulary.only([key for key in names if key != known[0]], BESIDE, f"key beside {known[0]}:", where)
    else:
        raise vocabulary.unknown("expectation", names[0], vocabulary.expectations(), where)
    name, arguments, severity = vocabulary.spelled(known[0]), item[known[0]] or {}, item.get("severity", "block")
    where = f"{where} ({name})"
    if not isinstance(arguments, dict):
        raise _misfit("arguments", arguments, form, where)
    vocabulary.only([severity], SEVERITIES, "severity", where)
    vocabulary.check_arguments(name, arguments, where)
    file = f"data_contracts/{path.name}" if path.parent == HERE else path.name  # never a path of this machine
    return Expectation(name=name, arguments=arguments, severity=severity, why=str(item.get("why") or ""), file=file)


def _merge(parents: tuple[Expectation, ...], own: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
    taken = {(e.name, e.columns) for e in own}
    return tuple(e for e in parents if (e.name, e.columns) not in taken) + own


def _misfit(what: str, got: Any, allowed: str, where: str) -> RecipeError:
    return RecipeError(
        f"A contract's {what} cannot be {short(got)}.", where=where, allowed=allowed, todo="correct the contract"
    )
