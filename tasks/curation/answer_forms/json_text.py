"""From the text of an answer to the JSON object that it means, when nothing is lost or guessed on the way.

Beyond JSON itself these are read: a code fence around it, commas before a closing bracket, a Python dict, and formats
that a template describes. A text that could be read in two ways, or of which a part would vanish (a comment, a second
value under the same key, words around the object), is not read.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tasks.core.text.strict_json import refuse_constant

FENCE, COMMA, PYTHON, TEMPLATE = "code fence", "trailing comma", "Python dict", "template"
LONGEST = 100_000  # characters of a Python dict; the parser of Python recurses, and no answer is as long
_FENCE = re.compile(r"```[ \t]*(?:json|JSON|python|js|javascript)?[ \t]*\n?")
_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'" + r'|"(?:[^"\\\n]|\\.)*"')
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')
_ODD_ESCAPE = re.compile(r"""\\[^\\'"bfnrtux]""")  # Python leaves these as they stand, JSON does not
_SUSPECT = re.compile(r"\\[uUN]|\d[eE][+\d]|\d{300}|[\ud800-\udfff]")
_NAMES = {"true": True, "false": False, "null": None}
_FIELD = re.compile(r"\{(\w+)\}")


class DuplicateKeyError(ValueError):
    """A key that comes twice: one of its values would be lost."""


def parse_object(text: str, templates: Sequence[str] = ()) -> tuple[dict[str, Any] | None, list[str]]:
    """Parse an answer: (the object, what had to be undone to read it); (None, []) if none. Raises DuplicateKeyError."""
    text = text.strip()
    rules = []
    if (fence := _FENCE.match(text)) and text.endswith("```"):
        text, rules = text[fence.end() : -3].strip(), [FENCE]
    if (value := strict_object(text)) is not None:
        return value, rules
    if text.startswith("{") and text.endswith("}"):
        if (value := strict_object(_TRAILING.sub(lambda found: found[1] or "", text))) is not None:
            return value, [*rules, COMMA]
        if (value := _python(text)) is not None:
            return value, [*rules, PYTHON]
    value = next((found for template in templates if (found := _by_template(template, text))), None)
    return (value, [*rules, TEMPLATE]) if value is not None else (None, [])


def strict_object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`; None also for one with half of an escaped pair (\\ud83d), which is no Unicode text."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=refuse_constant)
        return value if isinstance(value, dict) and _is_text(value, text) else None
    except DuplicateKeyError:
        raise
    except (ValueError, RecursionError):
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise DuplicateKeyError("a key comes twice")
    return value


def _is_text(value: Any, source: str) -> bool:
    """Whether it can be written as it is: no half of an escaped pair, and no number that became infinity."""
    if not _SUSPECT.search(source):
        return True
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError):
        return False
    return True


def _python(text: str) -> dict[str, Any] | None:
    """A dict as Python prints it, JSON's true, false and null allowed; None when a comment or a
    joined text is in it.
    """
    strings = _STRING.findall(text)
    if len(text) > LONGEST or "#" in _STRING.sub("", text) or any(map(_ODD_ESCAPE.search, strings)):
        return None
    try:
        tree = ast.parse(text, mode="eval").body
        texts = sum(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in ast.walk(tree))
        value = _literal(tree) if texts == len(strings) else None  # 'it''s' is one text of two, without its apostrophe
    except DuplicateKeyError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict) and _is_text(value, text) else None


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item) for item in items]
        case ast.Dict(keys=keys, values=values) if all(
            isinstance(k, ast.Constant) and isinstance(k.value, str) for k in keys
        ):
            return _unique([(_literal(k), _literal(v)) for k, v in zip(keys, values, strict=True) if k is not None])
    raise ValueError("no JSON value")


# ---------------------------------------------------------------- templates


def check_template(template: str) -> str:
    """The template itself. Raises ValueError unless it names fields, each once, with something between any two."""
    names = template_fields(template)
    if not names or len(set(names)) < len(names) or "}{" in template or not _FIELD.sub("", template).strip():
        raise ValueError(
            f"{template!r} is no template such as 'Intent: {{intent}} | Reply: {{reply}}', each field once"
        )
    return template


def template_fields(template: str) -> list[str]:
    return _FIELD.findall(template)


def _by_template(template: str, text: str) -> dict[str, str] | None:
    """The fields of a text that the template made; None when there is none or more than one way to read it."""
    short, long = _patterns(template)
    one, other = short.fullmatch(text), long.fullmatch(text)
    if one is None or other is None or one.groupdict() != other.groupdict():
        return None
    return {name: value.strip() for name, value in one.groupdict().items()}


@lru_cache(maxsize=32)
def _patterns(template: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The template as two patterns: each field as short, and as long, as can be. Where both agree
    there is one reading.
    """
    parts = _FIELD.split(template.strip())
    literal, names = [re.escape(part) for part in parts[::2]], parts[1::2]
    made = (
        "".join(f"{text}(?P<{name}>.+{much})" for text, name in zip(literal, names, strict=False)) for much in ("?", "")
    )
    short, long = (re.compile(pattern + literal[-1], re.S) for pattern in made)
    return short, long


# ---------------------------------------------------------------- writing


def canonical_json(value: dict[str, Any], order: Sequence[str]) -> str:
    """The object with keys in this order, then its own, and Python's separators: one form to learn, one to compare
    with.
    """
    first = [key for key in order if key in value]
    return json.dumps(
        {key: value[key] for key in [*first, *(key for key in value if key not in first)]}, ensure_ascii=False
    )


def same_json(one: str, other: str) -> bool:
    """Whether two JSON texts hold the same, to the last digit of every number."""
    a, b = (json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in (one, other))
    return bool(a == b)


def is_cut_off(text: str) -> bool:
    """Begins like JSON, and what is wrong is that it ends. A slip in the middle or words after it
    are another matter.
    """
    text = re.sub(r"^```\w*\s*", "", text.strip())
    if not text.startswith("{"):
        return False
    outside = _TRAILING.sub("", text).partition('"')[0]  # of texts, and before one that does not end
    open_ended = not text.endswith("}") and outside.count("{") > outside.count("}")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        unfinished = error.pos >= len(text) or (error.msg.startswith("Unterminated") and not text.endswith("}"))
        return error.msg != "Extra data" and (unfinished or open_ended)
    except RecursionError:
        return open_ended
    return False
