"""The cache of steps: what names a piece of work, and what is known of one that is done.

The key of a step's work is the digest of its name, its settings, its inputs' digests and its code: work of the same key
makes the same. Prefect keeps the handle that came of it under the key in HOME/results.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import isfunction
from typing import TYPE_CHECKING, Any, Union

from pydantic import BaseModel

from tasks.core.code_digest import code_digest
from tasks.core.handle import Handle
from tasks.core.home import digest_json, digest_path, home
from tasks.core.settings import Settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Function = Callable[..., Any]
# A function: of another step, which this one asks for what the cache holds of it.
Value = Union[Handle, BaseModel, str, "DataclassInstance", Function]
Input = Value | Sequence[Value] | None


def work_key(name: str, function: Function, settings: BaseModel, inputs: Mapping[str, Input]) -> str:
    """The key of the work of step `name`, done by `function`."""
    given = {key: _identity(value) for key, value in inputs.items()}
    modules = (function.__module__, *(settings.members() if isinstance(settings, Settings) else ()))
    return digest_json([name, settings.model_dump(mode="json"), given, *map(code_digest, modules)])


def _identity(value: Input) -> Any:
    """What of an input decides the result: a handle's digest, a model's values, a function's name, and of a dataclass
    what these are of each field; no path.
    """
    if value is None or isinstance(value, Handle):
        return value and value.digest
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Sequence):
        return [_identity(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _identity(getattr(value, field.name)) for field in fields(value)}
    assert isfunction(value)
    return f"{value.__module__}.{value.__qualname__}"


def is_kept(key: str) -> bool:
    """Whether a result is recorded under `key`, true or not."""
    return (home() / "results" / key).exists()


def result_of(key: str) -> Handle | None:
    """The handle that is recorded under `key`; None where there is none, or its files are not what they were."""
    try:
        handle = Handle.model_validate(_stored(json.loads((home() / "results" / key).read_text())))
        return handle if digest_path(handle.folder) == handle.digest and handle.facts() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stored(record: dict[str, Any]) -> Any:
    result = record["result"]
    parsed = json.loads(result) if isinstance(result, str) else result
    return parsed.get("data", parsed)
