"""How a chat template writes tool calls, and answers read back by it.

Every family writes calls in its own way: JSON objects in tags (Qwen, Hermes), one bare object (Llama 3.1), a list
behind a token (Mistral), a name and then its arguments (DeepSeek). A table of families would be wrong for the next one,
so the template is asked: it writes one known call, and two, and what stands before, between and behind them is its
form. An answer has calls when it is written so. White space around the parts and the spelling of JSON do not count;
anything else does: text behind the last call, a part left out or arguments that are no JSON object make an answer text,
for evaluation as for who is served by it.

A form that does not give back what the template wrote, as of one that writes arguments in XML, is refused in words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import DataError
from tasks.core.row import made_call
from tasks.core.text.strict_json import refuse_constant
from tasks.model.chat_template import Message, PromptSettings, written_calls
from tasks.model.rendering import WHERE

Pair = tuple[str, Any]  # name, arguments
Spot = tuple[int, int, Any]  # of a JSON value in a text: start, end, value
ONE: list[Pair] = [("probe_weather", {"probe_place": "Bonn"})]
TWO: list[Pair] = [*ONE, ("probe_time", {"probe_zone": 1})]
# What calls may hold and a form must give back: nothing, nesting, quotes and lines, tags, other scripts.
HARD: list[Pair] = [
    ("probe_weather", {}),
    ("probe_time", {"a": {"b": [1, 2.5, None, True]}, "c": 'it\'s "so"\n<b>&amp;</b> {x} [y]'}),
    ("probe_weather", {"город": "Köln 🙂", "n": "12"}),
]


@dataclass(frozen=True)
class CallForm:
    """The texts around calls, without the white space at their ends.

    between: of two calls; None where the template writes one a turn, or several as one list. name, arguments: the keys
    of a call's JSON object, which may lie in another one under the keys of `path`; empty where a call is a name, then
    `middle`, then its arguments. listed: calls are a JSON list of objects.
    """

    before: str
    after: str
    between: str | None = None
    name: str = ""
    arguments: str = ""
    path: tuple[str, ...] = ()
    listed: bool = False
    middle: str = ""

    def read(self, text: str) -> tuple[str, list[Pair]] | None:
        """What an answer says beside its calls, and these; None for an answer without calls."""
        start = text.find(self.before)
        if start < 0 or (not self.before and not text.lstrip().startswith(("{", "["))):
            return None
        found, rest = list[Pair](), text[start + len(self.before) :]
        while True:
            some, rest = self._next(rest.strip())
            found += some
            if not some:
                return None
            if rest == self.after:
                return text[:start].strip(), found
            if self.between is None or not (gap := re.match(r"\s*".join(map(re.escape, self.between.split())), rest)):
                return None
            rest = rest[gap.end() :]

    def _next(self, text: str) -> tuple[list[Pair], str]:
        """The calls at the start of `text`, and what follows them; none where it does not start with any."""
        name = ""
        if not self.name:
            name, _, text = (part.strip() for part in text.partition(self.middle))
        try:
            value, end = _JSON.raw_decode(text)
        except (ValueError, RecursionError):  # a model that repeats itself can nest a thousand brackets
            return [], text
        objects = [value] if not self.listed else value if isinstance(value, list) else []
        pairs = [self._pair(name, one) for one in objects]
        return [pair for pair in pairs if pair] if all(pairs) else [], text[end:].strip()

    def _pair(self, name: str, value: Any) -> Pair | None:
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        if self.name:
            said = value if isinstance(value, dict) else {}
            name, value = said.get(self.name, ""), said.get(self.arguments)
        value = _value(value)
        right = isinstance(name, str) and name and not any(c.isspace() for c in name) and isinstance(value, dict)
        return (name, value) if right else None


def call_form(tokenizer: Any, prompt: PromptSettings) -> CallForm:
    """The form of the chat template. Raises DataError for one that writes no calls, or none that could be read back."""

    def written(pairs: list[Pair]) -> str:
        return written_calls(tokenizer, _conversation(pairs), prompt, _TOOLS).strip()

    try:
        two = written(TWO)
    except DataError:  # Llama 3.1's template, for one, takes a single call a turn
        two = ""
    form = _form(written(ONE), two)
    tried = [[pair] for pair in (*TWO, *HARD)] + ([TWO, HARD] if two else [])
    if form is None or any(form.read(written(pairs)) != ("", pairs) for pairs in tried):
        raise DataError(
            "The chat template writes tool calls in a form that cannot be read back from an answer.",
            where=WHERE,
            allowed="calls as JSON: an object of name and arguments, a list of such, or a name and then its arguments",
            todo="take a base model whose template writes calls so, or set prompt.chat_template; rows with tools can "
            "be "
            "curated, trained on and exported all the same, but no model can be judged by them or be served with tools",
        )
    return form


def read_answer(form: CallForm, text: str, prompt: Sequence[Message]) -> tuple[str, str] | None:
    """An answer to `prompt` as (what it says, the JSON list of its tool_calls); None for one without calls."""
    found = form.read(text)
    if found is None:
        return None
    before = sum(len(turn.get("tool_calls") or ()) for turn in prompt)
    made = [made_call(number, *pair) for number, pair in enumerate(found[1], before + 1)]
    return found[0], json.dumps(made, ensure_ascii=False)


# ---------------------------------------------------------------- asking the template

_TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": "A probe.", "parameters": {"type": "object", "properties": {}}},
    }
    for name, _ in TWO
]


def _conversation(pairs: list[Pair]) -> list[Message]:
    calls = [made_call(number, *pair) for number, pair in enumerate(pairs, 1)]
    return [{"role": "user", "content": "Probe."}, {"role": "assistant", "content": "", "tool_calls": calls}]


_JSON = json.JSONDecoder(parse_constant=refuse_constant)


def _form(one: str, two: str) -> CallForm | None:
    """The form in which `one` holds the call of ONE, and `two` those of TWO, as far as it can be told."""
    name, arguments = ONE[0]
    for start, end, value in _values(one):
        before, after, listed = one[:start].strip(), one[end:].strip(), isinstance(value, list)
        if found := _keys(value[0] if listed and value else value, ONE[0]):
            return CallForm(before, after, None if listed else _between(two, bare=False), *found, listed=listed)
        if _value(value) == arguments and before.count(name) == 1:
            before, _, middle = (part.strip() for part in before.partition(name))
            return CallForm(before, after, _between(two, bare=True), middle=middle) if before and middle else None
    return None


def _between(two: str, bare: bool) -> str | None:
    """What stands between the calls of TWO. bare: a call is a name and then its arguments."""

    def is_of(value: Any, pair: Pair) -> bool:
        return bool(_value(value) == pair[1]) if bare else _keys(value, pair) is not None

    spots = [next((spot for spot in _values(two) if is_of(spot[2], pair)), None) for pair in TWO]
    if spots[0] is None or spots[1] is None:
        return None
    end = spots[0][1]
    return two[end : two.find(TWO[1][0], end) if bare else spots[1][0]].strip()


def _values(text: str) -> Iterator[Spot]:
    """Every JSON object and list in a text, an outer one before those in it."""
    for start, character in enumerate(text):
        if character in "{[":
            try:
                value, end = _JSON.raw_decode(text, start)
            except (ValueError, RecursionError):
                continue
            yield start, end, value


def _keys(value: Any, pair: Pair) -> tuple[str, str, tuple[str, ...]] | None:
    """Under which keys an object has a call's name and arguments, and the path to them in it."""
    if not isinstance(value, dict):
        return None
    name = next((key for key, part in value.items() if part == pair[0]), None)
    arguments = next((key for key, part in value.items() if _value(part) == pair[1]), None)
    if name is not None and arguments is not None:
        return name, arguments, ()
    inner = ((key, _keys(part, pair)) for key, part in value.items())
    return next(((*found[:2], (key, *found[2])) for key, found in inner if found), None)


def _value(part: Any) -> Any:
    """A JSON value that may be written as text in JSON, as itself."""
    try:
        return json.loads(part, parse_constant=refuse_constant) if isinstance(part, str) else part
    except (ValueError, RecursionError):
        return part
