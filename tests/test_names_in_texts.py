"""Every module, object and file of ours that a text names is there: in strings, comments, docstrings, YAML, Makefile,
Markdown.

Imports are the type checker's affair; a name inside a text is nobody's, and after a move it points nowhere without a
word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__)
ROOT = HERE.parents[1]
OURS = ("flows", "tasks", "data_contracts", "infra", "tests")
KINDS = {".py", ".yaml", ".yml", ".md", ".toml", ".html", ".ini", ".example", ".json"}
PLAIN = {"Makefile", "Dockerfile", "Caddyfile", ".dockerignore", ".gitignore", "run"}  # of no kind by their names' ends
# Other people's words, data, and tests that make up a tree of their own.
ELSEWHERE = ("tests/infra/schemas/", "flows/recipes/support_triage/raw/", "tests/tasks/core/test_code_digest.py")
# A user's files, an entrypoint that must not be there, and a variable.
NOT_OURS = {"rules.py", "none.py", "own.py", "tasks.py", "infra.py", "flows.nothing.nothing", "tests.items"}

TOP = "|".join(OURS)
# infra/stack.py, tests/tasks, tasks/data/formats/*.py, data_contracts/<name>.yaml
PATH = re.compile(rf"(?<![\w/.~$}}*-])(?:\./)?((?:{TOP})/[\w./*-]*)([<{{$%]?)")
# flows.retrain.retrain, flows.cli.main:main, tasks.core.action.RETRIES
DOTTED = re.compile(rf"(?<![\w/.$-])((?:{TOP})(?:\.\w+)+(?::\w+)?)(?![\w/])")
# ROOT / "infra" / "pictures"
PIECES = re.compile(rf'"({TOP})"((?: / "[\w.-]+")+)')
# answered.py
FILE = re.compile(r"(?<![\w/.*{}<>-])(\w+\.py)\b(?!\w)")
# from flows.servers import deploy, environment: in code that a text holds, too
IMPORT = re.compile(rf"\bfrom ((?:{TOP})(?:\.\w+)*) import ((?:\w+(?: as \w+)?, )*\w+)")
# [the team's page](../infra/README.md#backups)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
DEFINED = r"^(?:async def|def|class) {0}\b|^(?:\w+, )*{0}\b.*=|^    {0} = |^(?:from|import) .*\b{0}\b|^    {0},?$"


def texts() -> Iterator[Path]:
    """All files of ours that people write."""
    tops = [ROOT / name for name in (*OURS, ".ci") if (ROOT / name).is_dir()]
    for file in (*ROOT.iterdir(), *(file for top in tops for file in top.rglob("*"))):
        written = file.suffix in KINDS or file.name in PLAIN
        if written and file.is_file() and not file.relative_to(ROOT).as_posix().startswith(ELSEWHERE) and file != HERE:
            yield file


@cache
def made() -> frozenset[str]:
    """What programs make among our files, which git leaves alone."""
    return frozenset(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines())


def is_path(text: str, hole: str, _file: Path) -> bool:
    """hole: what a name is left out after, as in infra/{name}.yaml: the folder must be there then."""
    path = (text.rpartition("/")[0] if hole else text).rstrip("./")
    return any(ROOT.glob(path)) if "*" in path else path in made() or (ROOT / path).exists()


def is_name(text: str, _rest: str, _file: Path) -> bool:
    """Whether a dotted name leads to a module, or to something that is defined on the first level of one."""
    module, _, named = text.partition(":")
    parts = module.split(".")
    place = ROOT
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if not parts:
        return not named or _defines(place / "__init__.py", named)
    file = place / f"{parts[0]}.py"
    if not file.is_file():
        return not named and len(parts) == 1 and _defines(place / "__init__.py", parts[0])
    names = [*parts[1:], named] if named else parts[1:]
    return not names or _defines(file, names[0])


@cache
def _defines(file: Path, name: str) -> bool:
    return file.is_file() and bool(re.search(DEFINED.format(re.escape(name)), file.read_text(), re.MULTILINE))


def is_joined(first: str, rest: str, _file: Path) -> bool:
    return is_path("/".join([first, *re.findall(r'"([\w.-]+)"', rest)]), "", HERE)


@cache
def _names() -> frozenset[str]:
    below = (file for top in OURS for file in (ROOT / top).rglob("*.py"))
    return frozenset(file.name for file in (*below, *ROOT.glob("*.py")))


def is_file(name: str, _rest: str, _file: Path) -> bool:
    return name in _names()


def is_imported(module: str, names: str, _file: Path) -> bool:
    return all(is_name(f"{module}.{name.split()[0]}", "", HERE) for name in names.split(", "))


def is_linked(target: str, _rest: str, file: Path) -> bool:
    return file.suffix != ".md" or (file.parent / target).exists()


LOOKS: dict[re.Pattern[str], Callable[[str, str, Path], bool]] = {
    PATH: is_path,
    DOTTED: is_name,
    PIECES: is_joined,
    FILE: is_file,
    IMPORT: is_imported,
    LINK: is_linked,
}


def named(text: str) -> Iterator[tuple[re.Pattern[str], re.Match[str]]]:
    """Each name in a text, and the pattern that found it."""
    for pattern in LOOKS:
        yield from ((pattern, found) for found in pattern.finditer(text) if found[1] not in NOT_OURS)


def astray(file: Path, text: str) -> Iterator[str]:
    """file:line: name, for each name in `text` that points nowhere. file: where it stands, for links beside it."""
    for pattern, found in named(text):
        if not _is_there(pattern, found[1], found[2] if pattern.groups > 1 else "", file):
            yield f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}: {found[0]}"


@cache
def _is_there(pattern: re.Pattern[str], name: str, rest: str, file: Path) -> bool:
    return LOOKS[pattern](name, rest, file)


def test_every_name_in_a_text_points_somewhere() -> None:
    wrong = [one for file in texts() for one in astray(file, file.read_text(encoding="utf-8"))]
    assert not wrong, "\n".join(["these names in texts point nowhere:", *wrong])


THERE = """
tasks/core/step.py  tasks/data/formats/*.py  infra/kubernetes  infra/{name}.yaml  infra/stack.env  tests/tasks.  ./infra/README.md
tasks.core.step  tasks.core.step.RETRIES  tasks.core.step.BACK_OFF_SECONDS  flows.retrain.retrain  flows.cli.main:main  flows.recipes
`python -m tests.chaos`  flows/recipes/support_triage/recipe.yaml  "infra" / "pictures"  see step.py  not/ours/tasks/none
a.tasks.none  [the team's](infra/README.md#backups)  [elsewhere](https://example.com/tasks/none.py)
"""
NOWHERE = """
tasks/core/gone.py  tasks/gone/*.py  infra/gone/  infra/gone/{name}.yaml  (flows/gone.py)  `tasks/gone`  ./infra/GONE.md
tasks.gone  tasks.core.gone.RETRIES  tasks.core.step.NOWHERE  flows.retrain.gone  flows.cli.main:gone  flows.gone:gone  `tasks.gone`
-m tests.gone  flows/recipes/support_triage/gone.yaml  "infra" / "gone"  see nowhere_at_all.py  [the page](pictures/gone.png)
"""


def examples(text: str) -> list[str]:
    return [name for line in text.splitlines() for name in line.split("  ") if name]


@pytest.mark.parametrize("name", examples(THERE))
def test_a_name_that_points_somewhere_is_let_be(name: str) -> None:
    assert list(astray(ROOT / "README.md", name)) == []


@pytest.mark.parametrize("name", examples(NOWHERE))
def test_a_name_that_points_nowhere_is_told_with_its_file_and_line(name: str) -> None:
    (told,) = astray(ROOT / "README.md", f"A text.\nLook: {name} and so on.")
    assert told.startswith("README.md:2: ")


def test_names_are_found_in_files_of_every_kind() -> None:
    kinds = {file.suffix or file.name for file in texts() if any(named(file.read_text(encoding="utf-8")))}
    assert {".py", ".yaml", ".md", ".toml", ".example", "Makefile", "Dockerfile"} <= kinds
