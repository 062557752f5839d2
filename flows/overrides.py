"""Set keys of a recipe: any key, to any value, in the recipe's own text, whose comments and layout stay as they are.

    text = overridden(text, {("train", "epochs"): 2, ("gate", "rules", "0", "at_least"): 0.9})
    text = overridden(text, assigned(["train.epochs=2", "gate.rules.0.at_least=0.9"]))      # as they are typed

The text that comes out is a recipe that by itself does what was asked, so it is what a model is registered with.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import PlainScalarString

from tasks.core.errors import RecipeError
from tasks.core.text.user_input import quoted

Key = tuple[str, ...]
Change = tuple[int, int, list[str]]  # of lines: from, to, and what stands there instead
Overrides = Mapping[Key, Any]  # keys from the top of the recipe, of a list the item's number from 0; and the value
WIDTH = 120  # characters of a line before a new value is folded
HOW = "KEY=VALUE, such as train.epochs=2 or gate.rules.0.at_least=0.9 (the first rule is 0); the value is read as YAML"


def assigned(assignments: Sequence[str]) -> dict[Key, Any]:
    """What `KEY=VALUE` texts set. Raises RecipeError for one that is none, and for a key that is set twice."""
    found: dict[Key, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        path = tuple(part.strip() for part in name.split("."))
        if not equals or not all(path):
            raise _refused(text, "is no KEY=VALUE")
        if path in found:
            raise _refused(text, "sets a key a second time")
        try:
            found[path] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # a date that is none
            raise _refused(text, f"has a value that is not YAML: {getattr(error, 'problem', None) or error}") from None
    return found


def in_words(overrides: Overrides) -> str:
    """What is set, as it would be typed."""
    return ", ".join(f"{'.'.join(path)}={_written(value)}" for path, value in overrides.items())


def overridden(text: str, overrides: Overrides) -> str:
    """The recipe `text` with these keys set; sections that are missing are made. text: a valid recipe.

    Raises RecipeError where a list has no such item, or where a key shares its value with another by an alias.
    """
    reader = _reader(text)
    data = reader.load(text)
    before = _dumped(reader, data)
    for path, value in overrides.items():
        wanted = json.loads(_meaning(text))
        _put(wanted, path, json.loads(_json(value)))
        _put(data, tuple(_node(reader, part) for part in path), _node(reader, value))
        after = _dumped(reader, data)
        told = (new for new in (_laid_out_as(text, before, after), after) if _meaning(new) == _json(wanted))
        text, before = next(told, ""), after
        if not text:
            raise RecipeError(
                f"{'.'.join(path)} cannot be set: it shares its value with another key.",
                where="an alias (*name) in the recipe",
                allowed="keys with values of their own",
                todo="write the value out in the recipe where the alias stands",
            )
    return text


def _put(root: Any, path: Key, value: Any) -> None:
    """Set it in place, and make the sections on the way. A text in the way gives way: the strict model tells of it."""
    data = root
    for depth, part in enumerate(path):
        key: Any = _item(data, path, depth) if isinstance(data, list) else part
        there = data[key] if isinstance(data, list) else data.get(key)
        last = depth == len(path) - 1
        if last or not isinstance(there, dict | list):
            there = value if last else type(root)()
            if isinstance(data, CommentedMap) and key in data.ca.items:
                _free_comment(data, key)
            if isinstance(data, CommentedMap) and key not in data and depth:
                data.insert(0, key, there)  # at the end it would stand behind the comment on the next section
            else:
                data[key] = there
        data = there


def _free_comment(data: CommentedMap, key: str) -> None:
    """The comment after the `|` of a text that is replaced, as one that any value can have behind it."""
    comments = data.ca.items[key]
    if len(comments) > 3 and comments[3]:
        del data.ca.items[key]
        data.yaml_add_eol_comment("".join(comments[3]).strip(), key)


def _item(data: list[Any], path: Key, depth: int) -> int:
    if not (path[depth].isdecimal() and int(path[depth]) < len(data)):
        raise RecipeError(
            f"{'.'.join(path[:depth])} has no item {path[depth]!r}.",
            where=".".join(path),
            allowed=f"0 to {len(data) - 1}" if data else "no item, for the list is empty",
            todo=f"name one of these, or set the whole list: {'.'.join(path[:depth])}=[...]",
        )
    return int(path[depth])


# ---------------------------------------------------------------- text and meaning


class _AsWritten(VersionedResolver):
    """Takes every plain value for a text, so that it is written as it was read: 0x1F, 1_000, yes, 2.50.

    What such a word means is for the recipe's reader to say; it reads YAML 1.1, and this library 1.2.
    """

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and value and value != "<<":
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)


def _reader(text: str) -> YAML:
    """A reader and writer of `text` that indents as it does, and folds no line that is no longer than its longest."""
    reader = YAML()
    reader.Resolver = _AsWritten
    reader.preserve_quotes = True
    reader.width = max(WIDTH, *map(len, text.splitlines()))
    if block := _BLOCK.search(text):
        reader.map_indent = len(block["inner"])
    if items := _ITEMS.search(text):
        reader.sequence_dash_offset = len(items["dash"]) - len(items["outer"])
        reader.sequence_indent = reader.sequence_dash_offset + 1 + len(items["inner"])
    return reader


_REST = r":[ ]*(?:#.*)?\n(?:[ ]*(?:#.*)?\n)*"  # of a key's line, when its value begins below
_BLOCK = re.compile(rf"^[^\s#-].*{_REST}(?P<inner>[ ]+)[^\s#-]", re.M)
_ITEMS = re.compile(rf"^(?P<outer>[ ]*)[^\s#-].*{_REST}(?P<dash>[ ]*)-(?P<inner>[ ]+)\S", re.M)


def _node(reader: YAML, value: Any) -> Any:
    """A value for the library to write. A single one is marked as plain, else it would be quoted as the old one was."""
    node = reader.load(_written(value))
    return PlainScalarString(node) if type(node) is str else node


def _dumped(writer: YAML, data: Any) -> str:
    out = io.StringIO()
    writer.dump(data, out)
    return out.getvalue()


def _laid_out_as(text: str, before: str, after: str) -> str:
    """`after` as `text` is laid out. before: `text` as the library writes it, which folds long lists anew."""
    lines = before.split("\n")
    edits = [_sparing_comments(lines, change) for change in _changes(lines, after.split("\n"))]
    layout = _changes(lines, text.split("\n"))
    apart = [one for one in layout if not any(one[0] < end and start < one[1] for start, end, _ in edits)]
    for start, end, new in sorted([*edits, *apart], reverse=True):
        lines[start:end] = new
    return "\n".join(lines)


def _changes(old: list[str], new: list[str]) -> list[Change]:
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [(start, end, new[at:until]) for tag, start, end, at, until in codes if tag != "equal"]


def _sparing_comments(lines: list[str], change: Change) -> Change:
    """Comments and blank lines after a value go with it in the library, and are about what follows."""
    start, end, new = change
    while end > start and lines[end - 1].lstrip()[:1] in ("", "#"):
        end -= 1
    return start, end, new


class _OneLine(yaml.SafeDumper):
    """Writes as the recipe's reader reads, and no text on several lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    breaks = {*text} & {*"\n\x85\u2028\u2029"}  # which YAML writes as lines, unless between these quotes
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if breaks else None)


_OneLine.add_representer(str, _text)


def _written(value: Any) -> str:
    """A value on one line, as it can stand anywhere: between brackets more must be quoted than behind a key."""
    listed = yaml.dump(
        [value], Dumper=_OneLine, default_flow_style=True, allow_unicode=True, width=math.inf, sort_keys=False
    )
    return listed.strip()[1:-1]


def _meaning(text: str) -> str:
    """What a text means to the recipe's reader, as JSON; nothing for what is no YAML."""
    try:
        return _json(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError):
        return ""


def _json(value: Any) -> str:
    texts_as_keys = json.loads(json.dumps(value, default=str))
    return json.dumps(texts_as_keys, sort_keys=True)


def _refused(assignment: str, problem: str) -> RecipeError:
    return RecipeError(f"{quoted(assignment)} {problem}.", where="--set", allowed=HOW, todo="correct it")
