"""From an object to one that keeps its schema, by changes of spelling only: nothing is added, left out or guessed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

KEY, VALUE, SPELLING, TYPE = "key renamed", "value renamed", "spelling", "type"
# Between letters or a letter and a digit; between two digits (1-2, 1 2) and at the ends (A-) they can mean something.
_SEPARATOR = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W\d_])|(?<=[^\W\d_])[\s_-]+(?=[^\W_])")
_INTEGER, _NUMBER = re.compile(r"-?(?:0|[1-9]\d*)"), re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?")


def folded_label(label: str) -> str:
    """The form in which case, width and separators do not count: "Order Status", "order-status" and "orderStatus"
    alike.
    """
    return _SEPARATOR.sub("", unicodedata.normalize("NFKC", label).strip()).casefold()


def only_match(label: str, known: Iterable[Any]) -> str | None:
    """The one of `known` that `label` is another spelling of; None when there is none, or more than one."""
    wanted = folded_label(label)
    found = [name for name in known if isinstance(name, str) and folded_label(name) == wanted]
    return found[0] if len(found) == 1 else None


def fit(
    value: dict[str, Any], schema: Mapping[str, Any], rename: Mapping[str, str], values: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Any], list[str]]:
    """Fit an object to a schema's spelling: (the object, what was changed).

    rename: old key names, and values: by (new) key old values, with the new one each, as the recipe states them.
    """
    rules: list[str] = []
    renamed = _keys(value, schema.get("properties", {}), rename, rules)
    for key, new in values.items():
        if isinstance(old := renamed.get(key), str) and old in new:
            renamed[key] = new[old]
            rules.append(VALUE)
    return _fit(renamed, schema, rules), list(dict.fromkeys(rules))


def _keys(
    value: dict[str, Any], known: Mapping[str, Any], rename: Mapping[str, str], rules: list[str]
) -> dict[str, Any]:
    """Under the known names; a key stays as it is when its new name is taken, or two keys claim the same."""
    if all(key in known and key not in rename for key in value):
        return dict(value)
    names = {key: rename.get(key) or (key if key in known else only_match(key, known) or key) for key in value}
    claims = list(names.values())
    names = {key: new if claims.count(new) == 1 else key for key, new in names.items()}
    if any(key != new for key, new in names.items()):
        rules.append(KEY)
    return {names[key]: inner for key, inner in value.items()}


def _fit(value: Any, schema: Any, rules: list[str]) -> Any:
    if not isinstance(schema, dict):
        return value
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return {key: _fit(part, inner.get(key), rules) for key, part in value.items()}
    if isinstance(value, list):
        return [_fit(part, schema.get("items"), rules) for part in value]
    if isinstance(value, str):
        return _text(value, schema, rules)
    return value


def _text(value: str, schema: Mapping[str, Any], rules: list[str]) -> Any:
    allowed = schema.get("enum")
    if allowed is not None:
        new = only_match(value, allowed) if value not in allowed else None
        rules.extend([SPELLING] if new is not None else [])
        return value if new is None else new
    new = _typed(value, schema.get("type"))
    rules.extend([TYPE] if not isinstance(new, str) else [])
    return new


def _typed(value: str, kind: Any) -> Any:
    """The number, truth value or null that a text spells out, where the schema wants that; as it
    was in any other case.
    """
    if kind == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind == "integer" and _INTEGER.fullmatch(value):
        return int(value)
    if kind == "number" and _NUMBER.fullmatch(value):
        number = int(value) if _INTEGER.fullmatch(value) else float(value)
        return number if str(number) == value else value
    return value
