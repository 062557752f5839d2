"""Control tokens in what people wrote are text: found before the template sees them, and marked.

`<|im_end|>` in a message must never become the end of a turn: else whoever writes to an inbox could speak as the
system. transformers' mark_control_tokens puts a mark on each side, and its tokenizers make the tokens of those letters
of what stands between marks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tasks.core.row import Turn

MARK = re.compile("[\U000f0000\U000f0001]")  # transformers' marks around a control token that is text
OWN_WORDS = ("system", "assistant")  # roles whose texts are a developer's or the model's own
MOST_TOKENIZERS = 4  # whose tokens are remembered


def mark_turn(turn: Turn, tokenizer: Any, template: str) -> Turn:
    """A turn with its control tokens marked.

    In a system prompt and in answers these are the tokenizer's special tokens. In what users and tools say they are
    also the other added tokens that the template writes, as DeepSeek's of a user's turn: `<think>` or `<tool_call>` in
    an answer are what the model itself writes as one token.
    """
    tokens = special_tokens(tokenizer) if turn["role"] in OWN_WORDS else _control_tokens(tokenizer, template)
    marked: Turn = mark(turn, tokens)
    return marked


def mark(value: Any, tokens: re.Pattern[str]) -> Any:
    """Text, or JSON, with these tokens in its texts marked; the very same where there are none."""
    if not any(map(tokens.search, _texts(value))):
        return value
    from transformers.utils.chat_template_utils import mark_control_tokens

    return mark_control_tokens(value, tokens)


def split_at_token(text: str, token: str) -> list[str]:
    """`text` in two at the first `token` that is the template's own and not somebody's text; else `text` alone."""
    return re.split(f"(?<!\U000f0000){re.escape(token)}", text, maxsplit=1)


@lru_cache(maxsize=MOST_TOKENIZERS)
def special_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Any of the tokenizer's special tokens."""
    return _any_of([t.content for t in tokenizer.added_tokens_decoder.values() if t.special])


@lru_cache(maxsize=MOST_TOKENIZERS)
def _control_tokens(tokenizer: Any, template: str) -> re.Pattern[str]:
    """Not the blanks and line breaks that some tokenizers have among their added tokens: those are plain text."""
    added = tokenizer.added_tokens_decoder.values()
    return _any_of([t.content for t in added if t.special or (t.content in template and t.content.strip())])


def _any_of(tokens: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or "(?!)")


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, part in value.items() if key != "role" for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []
