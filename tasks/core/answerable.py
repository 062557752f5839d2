"""Whether a model can be asked the rows that are to judge it: told before it is trained, not after."""

from __future__ import annotations

from typing import Any

import polars as pl

from tasks.core.call_form import CallForm, call_form
from tasks.core.calls import any_tools, tools_of, turns, with_arguments
from tasks.core.chat import WHERE, PromptSettings, check_room, prompt_ids, question, written_calls
from tasks.core.errors import DataError
from tasks.core.handle import Handle

TURN_BYTES = 100  # more than a template writes around a turn


def check_answerable(sets: dict[str, pl.DataFrame], base: Handle, prompt: PromptSettings) -> None:
    """Raise DataError for rows whose prompt leaves no room for an answer, and for rows with tools that the base model's
    template cannot ask, or whose calls it cannot give back. sets: rows by what they are called.
    """
    context: int | None = base.facts()["context"]
    tools = {name: any_tools(frame) for name, frame in sets.items()}
    rows = {name: frame.filter(tools[name] | may_be_too_long(frame, context, prompt)) for name, frame in sets.items()}
    if not any(frame.height for frame in rows.values()):
        return  # and a run from the cache need not import transformers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder / "model")
    form = call_form(tokenizer, prompt) if any(found.any() for found in tools.values()) else None
    for name, frame in rows.items():
        for row in frame.sort("row_id").iter_rows(named=True):
            try:
                check_judged(form, tokenizer, prompt, context, row)
            except DataError as error:
                where = f"{name} row {row['row_id'][:12]} ({row['source']}, line {row['line']}); {error.where}"
                raise DataError(error.what, where=where, allowed=error.allowed, todo=error.todo) from error


def may_be_too_long(rows: pl.DataFrame, context: int | None, prompt: PromptSettings) -> pl.Series:
    """For each of `rows`, whether its prompt must be tokenised to know its room: a token stands for a byte at least."""
    if context is None:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    sizes = pl.col("messages").list.eval(pl.element().struct.field("content").str.len_bytes() + TURN_BYTES).list.sum()
    around = len(prompt.system.encode()) + TURN_BYTES + prompt.max_new_tokens
    return rows.select(long=sizes + around > context)["long"]


def check_judged(
    form: CallForm | None, tokenizer: Any, prompt: PromptSettings, context: int | None, row: dict[str, Any]
) -> None:
    """Raise DataError unless the template can ask what a row asks, with room for an answer, and give back the calls that it
    wants. form: None where no row has tools.
    """
    said, tools = turns(row), tools_of(row["meta"])
    asked = question(said)
    check_room(len(prompt_ids(tokenizer, asked, prompt, tools)), context, prompt)
    wanted = said[len(asked)] if len(asked) < len(said) else {}
    made = [call["function"] for call in with_arguments(wanted).get("tool_calls", ())]
    pairs = [(function["name"], function["arguments"]) for function in made]
    text = written_calls(tokenizer, [*asked, wanted], prompt, tools).strip() if pairs else ""
    if pairs and form and form.read(text) != ((wanted["content"] or "").strip(), pairs):
        raise DataError(
            "The chat template writes its tool calls so that they cannot be read back from an answer.", where=WHERE,
            allowed="calls whose arguments are a JSON object", todo="mend the row, or take it out",
        )  # fmt: skip
