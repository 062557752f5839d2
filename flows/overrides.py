"""Write other values into the text of a recipe and leave the rest of it as it is, comments and all.

    text = overridden(text, {("train", "epochs"): 2})

The text that comes out is a recipe that by itself does what was asked, so it is what a model is registered with.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

Overrides = Mapping[tuple[str, str], float]


def overridden(text: str, overrides: Overrides) -> str:
    """The recipe `text` with each (section, key) set to a number. text: a valid recipe; comments beside a value stay."""
    for (section, key), value in overrides.items():
        text = _set(text, section, key, yaml.safe_dump(value).split()[0])  # json's 1e-05 is a text in YAML 1.1
    return text


def _set(text: str, section: str, key: str, value: str) -> str:
    part = _child(yaml.compose(text, Loader=yaml.SafeLoader), section)
    if part is None:
        return f"{text.rstrip()}\n\n{section}:\n  {key}: {value}\n"
    old = _child(part, key)
    if old is not None:
        return text[: old.start_mark.index] + value + text[old.end_mark.index :]
    start = part.start_mark  # of a block, its first key; of a flow mapping, its brace
    if text[start.index] == "{":
        comma = ", " if part.value else ""
        return f"{text[: start.index + 1]}{key}: {value}{comma}{text[start.index + 1 :]}"
    return f"{text[: start.index]}{key}: {value}\n{' ' * start.column}{text[start.index :]}"


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    assert isinstance(node, yaml.MappingNode)  # the strict model has read it
    return next((child for name, child in node.value if name.value == key), None)
