"""The digest of the code a step runs, so that a changed step is computed again and an unchanged one is not."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

from tasks.core.home import digest_bytes, digest_json

OWN = ("tasks", "data_contracts")  # flows only arrange steps, so they do not change what a step makes


@cache
def code_digest(module: str) -> str:
    """sha256 over the source of `module` and of every own module it imports, at any depth, lazily or not."""
    seen: dict[str, str] = {}
    _collect(module, seen)
    return digest_json(seen)


def _collect(module: str, seen: dict[str, str]) -> None:
    if module in seen or module.split(".")[0] not in OWN:
        return
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return
    source = Path(spec.origin).read_bytes()
    seen[module] = digest_bytes(source)
    for name in _imports(ast.parse(source)):
        _collect(name, seen)


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names if _is_module(node.module, alias.name)}
    return {name for name in names if name.split(".")[0] in OWN}


def _is_module(package: str, name: str) -> bool:
    if package.split(".")[0] not in OWN:
        return False
    try:
        return importlib.util.find_spec(f"{package}.{name}") is not None
    except ModuleNotFoundError:  # `package` is itself a module, `name` an object in it
        return False
