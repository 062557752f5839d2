"""The digest of the code a step runs, so that a changed step is computed again and an unchanged one is not.

Of a Python file counts what runs: no comment, no docstring, no layout, nothing below `if TYPE_CHECKING:`. So what a
module imports only there must be something whose code makes no difference to the result: a value's fields, or how
progress is shown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from tasks.core.home import digest_bytes, digest_json, digest_path

ROOT = Path(__file__).parents[__name__.count(".")]  # the folder that `tasks` is in, wherever in it this file is
MOST_TRIES = 50
OWN = ("tasks", "data_contracts")  # below ROOT; flows only arrange steps, so they do not change what a step makes


class Source(NamedTuple):
    """What counts of one Python file. imports: as they are written; words: all its texts."""

    digest: str
    imports: tuple[str, ...]
    words: frozenset[str]


@cache
def code_digest(module: str) -> str:
    """sha256 over the code of `module`, of all own modules it imports, at any depth, lazily or not, and of their
    packages.

    With a package that runs as a program (the trainer) goes its __main__, and with a module the folder beside it whose
    name it says ("templates"), byte for byte. Files are read, nothing is imported: a step's key must not cost an import
    of torch.
    """
    return digest_json({name: _digest(path) for name, path in code_files(module).items()})


def code_files(module: str) -> dict[str, Path]:
    """What code_digest is taken of: each own module by name, and its file; `module: folder` for a folder beside one.

    Raises ModuleNotFoundError for one of our own that is not there: a key of nothing would never change.
    """
    if module.partition(".")[0] in OWN and _file(module) is None:
        raise ModuleNotFoundError(f"{module} is not below {ROOT}", name=module)
    seen: dict[str, Path] = {}
    _collect(module, seen)
    return seen


def _digest(path: Path) -> str:
    return digest_path(path) if path.is_dir() else _source(path.read_bytes()).digest


def _collect(module: str, seen: dict[str, Path]) -> None:
    file = None if module in seen else _file(module)
    if file is None:
        return
    seen[module] = file
    source, above = _source(file.read_bytes()), module.rpartition(".")[0]
    for folder in _named_folders(source.words, file.parent):
        seen[f"{module}: {folder.name}"] = folder
    package = module if file.stem == "__init__" else above
    for name in (above, *(resolve_name(name, package) for name in source.imports)):
        _collect(name, seen)
    if file.stem == "__init__":
        _collect(f"{module}.__main__", seen)


@cache
def _source(text: bytes) -> Source:
    tree = _Running().visit(parse(text))
    nodes = list(ast.walk(tree))
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return Source(digest_bytes(_as_text(tree).encode()), tuple(_imports(nodes)), frozenset(words))


class _Running(ast.NodeTransformer):
    """Leaves of a tree what runs."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """A text that stands alone is a docstring."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        """Imports for the type checker are not made."""
        whole = self.generic_visit(node)
        return list(node.orelse) if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else whole


def _as_text(node: object) -> str:
    """A tree as text, the same on every version of Python: unlike ast.dump, without the fields that are empty."""
    if isinstance(node, ast.AST):
        fields = (f"{name}={_as_text(value)}" for name, value in ast.iter_fields(node) if value not in (None, []))
        return f"{type(node).__name__}({', '.join(fields)})"
    return f"[{', '.join(map(_as_text, node))}]" if isinstance(node, list) else ascii(node)


def parse(source: bytes) -> ast.Module:
    """The syntax tree. Python 3.11 counts the depth of all threads' trees in one place: while another thread parses,
    and a garbage collection lets it in between, parsing fails with SystemError (3 of 50 runs of a busy worker did).
    Then again.
    """
    for _ in range(MOST_TRIES):
        try:
            return ast.parse(source)
        except SystemError:
            continue
    return ast.parse(source)


def _file(module: str) -> Path | None:
    """The source of an own module; None for a library's, or when `module` is an object in one."""
    parts = module.split(".")
    place = ROOT.joinpath(*parts)
    choices = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in choices if parts[0] in OWN and file.is_file()), None)


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module.removesuffix('.')}.{alias.name}" for alias in node.names)


def _named_folders(words: frozenset[str], beside: Path) -> list[Path]:
    folders = sorted(path for path in beside.iterdir() if path.name in words and path.is_dir())
    return [folder for folder in folders if not (folder / "__init__.py").exists()]
