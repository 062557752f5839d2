"""The digest of the code a step runs, so that a changed step is computed again and an unchanged one is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tasks.core.home import digest_json, digest_path

ROOT = Path(__file__).parents[2]
MOST_TRIES = 50
OWN = ("tasks", "data_contracts")  # below ROOT; flows only arrange steps, so they do not change what a step makes


@cache
def code_digest(module: str) -> str:
    """sha256 over the source of `module` and of every own module it imports, at any depth, lazily or not.

    With a package that runs as a program (the trainer) goes its __main__, and with a module the folder beside it whose name it
    says ("templates"). Files are read, nothing is imported: a step's key must not cost an import of torch.
    """
    return digest_json({name: digest_path(path) for name, path in code_files(module).items()})


def code_files(module: str) -> dict[str, Path]:
    """What code_digest is taken of: each own module by name, and its file; `module: folder` for a folder beside one."""
    seen: dict[str, Path] = {}
    _collect(module, seen)
    return seen


def _collect(module: str, seen: dict[str, Path]) -> None:
    file = _file(module)
    if file is None or module in seen:
        return
    seen[module] = file
    tree = parse(file.read_bytes())
    for folder in _named_folders(tree, file.parent):
        seen[f"{module}: {folder.name}"] = folder
    for name in _imports(tree):
        _collect(name, seen)
    if file.stem == "__init__":
        _collect(f"{module}.__main__", seen)


def parse(source: bytes) -> ast.Module:
    """The syntax tree. Python 3.11 counts the depth of all threads' trees in one place: while another thread parses, and a
    garbage collection lets it in between, parsing fails with SystemError (3 of 50 runs of a busy worker did). Then again.
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


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _named_folders(tree: ast.Module, beside: Path) -> list[Path]:
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    folders = sorted(path for path in beside.iterdir() if path.is_dir() and path.name in words)
    return [folder for folder in folders if not (folder / "__init__.py").exists()]
