"""One text a record, a conversation already written out: under the heads of Alpaca, Vicuna, or a model's template.

    {"text": "### Instruction:\\nWhere is it?\\n\\n### Response:\\nOn shelf 1."}
It is what mlx-lm and TRL's language modelling take. A text is read where its heads are those of one table line and user
and assistant take turns; else a recipe says where the answer begins: `data: [{path: ..., text: "\\nA:"}]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tasks.core.row import Message
from tasks.data.formats.base import Format, Record, Shape, Shaped
from tasks.data.formats.messages import UnadaptedError


@dataclass(frozen=True)
class _Heads:
    """How each role's turns begin, as patterns, and what ends a turn or a text and is none of it."""

    user: str
    assistant: str
    system: str = r"(?!)"
    ends: str = r"(?!)"

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?P<system>{self.system})|(?P<user>{self.user})|(?P<assistant>{self.assistant})")


_WHOLE = r"</?s>|<\|endoftext\|>|<\|begin_of_text\|>|<bos>|<eos>"


def _llama3(role: str) -> str:
    return rf"<\|start_header_id\|>{role}<\|end_header_id\|>\n*"


HEADS = (
    _Heads(r"<\|im_start\|>user\n", r"<\|im_start\|>assistant\n", r"<\|im_start\|>system\n", rf"<\|im_end\|>|{_WHOLE}"),
    _Heads(_llama3("user"), _llama3("assistant"), _llama3("system"), rf"<\|eot_id\|>|{_WHOLE}"),
    _Heads(r"<start_of_turn>user\n", r"<start_of_turn>model\n", ends=rf"<end_of_turn>|{_WHOLE}"),
    _Heads(r"<\|user\|>\n?", r"<\|assistant\|>\n?", r"<\|system\|>\n?", rf"<\|end\|>|{_WHOLE}"),
    _Heads(r"\[INST\]|<</SYS>>\n*", r"\[/INST\]", r"\[INST\]\s*<<SYS>>\n?", _WHOLE),
    _Heads("### ?(?:Human|User):", "### ?Assistant:", "### ?System:", _WHOLE),
    _Heads(r"(?:\A|(?<=[\s>]))USER:", r"(?<=\s)ASSISTANT:", ends=_WHOLE),
)
_ALPACA = re.compile(
    r"(?P<system>.*?)(?:\A|\n)### ?Instruction:(?P<instruction>.*?)(?:\n### ?Input:(?P<input>.*?))?\n### ?Response:"
    r"(?P<answer>.*)",
    re.S,
)


def read_text(record: Record, mark: str = "") -> Shaped | None:
    """The conversation in a record's text. mark: what stands before the answer, where a recipe states it.

    Raises UnadaptedError for a text in which a stated mark does not stand just once.
    """
    text = record["text"]
    if not isinstance(text, str):
        return None
    if mark:
        return Shaped(_marked(text, mark), {"text"})
    messages = _alpaca(text) or next((said for heads in HEADS if (said := _turns(text, heads))), None)
    return Shaped(messages, {"text"}) if messages else None


def _marked(text: str, mark: str) -> list[Message]:
    if (times := text.count(mark)) != 1:
        raise UnadaptedError("the mark of the answer does not stand once in the text", mark=mark, times=times)
    question, answer = text.split(mark)
    return [_message("user", question), _message("assistant", answer)]


def _alpaca(text: str) -> list[Message] | None:
    found = _ALPACA.fullmatch(text)
    if found is None or "### Instruction:" in found["answer"]:
        return None
    asked = [part for name in ("instruction", "input") if (part := _body(found[name] or ""))]
    system = [_message("system", found["system"])] if found["system"].strip() else []
    return [*system, _message("user", "\n\n".join(asked)), _message("assistant", found["answer"])]


def _turns(text: str, heads: _Heads) -> list[Message] | None:
    """The turns under `heads`; None unless a user begins and the two take turns to an answer."""
    starts = list(heads.pattern.finditer(text))
    if not starts:
        return None
    ends = [start.start() for start in starts[1:]] + [len(text)]
    before = re.sub(heads.ends, "", text[: starts[0].start()])
    turns = [(start.lastgroup, text[start.end() : end]) for start, end in zip(starts, ends, strict=True)]
    said = [_message(str(role), re.sub(heads.ends, "", body).rstrip()) for role, body in turns]
    if before.strip():
        said.insert(0, _message("system", before.rstrip()))
    roles = [one["role"] for one in said]
    talk = roles[roles.count("system") :]
    fits = roles[:1] != ["system"] or roles.count("system") == 1
    return said if fits and talk and talk == ["user", "assistant"] * (len(talk) // 2) else None


def _message(role: str, body: str) -> Message:
    return {"role": role, "content": _body(body)}


def _body(text: str) -> str:
    """Without the line breaks around it; the blank behind a head on the same line is none of it either."""
    return text.strip("\n") if text.startswith("\n") else text.strip("\n").removeprefix(" ")


def stated(mark: str) -> Shape:
    """The shape of records of which the recipe says where in the text the answer begins."""

    def read(record: dict[str, Any]) -> Shaped | None:
        return read_text(record, mark)

    return Shape((frozenset(("text",)),), read)


FORMAT = Format("one_text", shapes=(Shape((frozenset(("text",)),), read_text),))
