"""Check before training that a model can be asked the held-out rows: by its template, in its context, with room for the
answers that they want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from tasks.core.errors import DataError
from tasks.core.handle import Handle
from tasks.core.row import any_tools, tools_of, turns, with_arguments
from tasks.facts.base_model import ModelFacts
from tasks.model.chat_template import (
    ASKING,
    Message,
    PromptSettings,
    check_room,
    prompt_ids,
    prompt_ids_after,
    question,
    written_calls,
)
from tasks.model.loading import load_tokenizer
from tasks.model.rendering import WHERE
from tasks.model.tool_call_syntax import CallForm, call_form

TURN_BYTES = 100  # more than a base model's template writes around a turn
EXAMPLES = 5  # rows named in an error: enough to find the cause, few enough to read
SHORTER = "shorten these rows or take them out, lower prompt.max_new_tokens, or take a base model with a longer context"


def check_answerable(sets: dict[str, pl.DataFrame], base: Handle, prompt: PromptSettings) -> None:
    """Raise DataError for rows that a served model would refuse, since they ask nothing or leave an answer no room, for
    rows that the base model's template cannot ask, or whose calls it cannot give back, and for those whose own answer
    would be cut. sets: rows by name.
    """
    context = ModelFacts.of(base).context
    sets = {name: frame.sort("row_id") for name, frame in sets.items()}
    tools = {name: any_tools(frame) for name, frame in sets.items()}
    rows = {
        name: frame.filter(
            tools[name]
            | ask_nothing(frame)
            | first_of_form(frame)
            | prompt_may_be_too_long(frame, context, prompt)
            | answer_may_be_too_long(frame, prompt)
        )
        for name, frame in sets.items()
    }
    tokenizer = load_tokenizer(base.folder / "model")
    form = call_form(tokenizer, prompt) if any(found.any() for found in tools.values()) else None
    faults: dict[str, DataError] = {}
    for name, frame in rows.items():
        for row in frame.iter_rows(named=True):
            try:
                check_heldout_row(form, tokenizer, prompt, context, row)
            except DataError as error:
                faults[f"{name} row {row['row_id'][:12]} ({row['source']}, line {row['line']})"] = error
    _refuse(faults)


def _refuse(faults: dict[str, DataError]) -> None:
    """Raise the first fault with the rows that have one, if any. faults: by row."""
    if not faults:
        return
    first, named = next(iter(faults.values())), list(faults)[:EXAMPLES]
    what = f"{len(faults):,} rows cannot judge a model; the first: {first.what}" if len(faults) > 1 else first.what
    where = f"{'; '.join(named)}{' ...' if len(faults) > EXAMPLES else ''}; {first.where}"
    raise DataError(what, where=where, allowed=first.allowed, todo=first.todo) from first


def ask_nothing(rows: pl.DataFrame) -> pl.Series:
    """For each of `rows`, whether what stands before its answer is no question."""
    asked = [question(messages) for messages in rows["messages"].to_list()]
    return pl.Series([not turns or turns[-1]["role"] not in ASKING for turns in asked], dtype=pl.Boolean)


def first_of_form(rows: pl.DataFrame) -> pl.Series:
    """For each of `rows`, whether it is the first of its sequence of roles: a template may refuse one (a system prompt,
    two users in a row), or leave it out, whatever is said.
    """
    roles = [tuple(turn["role"] for turn in messages) for messages in rows["messages"].to_list()]
    firsts = {form: number for number, form in reversed([*enumerate(roles)])}
    return pl.Series([firsts[form] == number for number, form in enumerate(roles)], dtype=pl.Boolean)


def answer_may_be_too_long(rows: pl.DataFrame, prompt: PromptSettings) -> pl.Series:
    """For each of `rows`, whether its own answer must be tokenised to know that it is not cut: a token stands for a
    byte at least.
    """
    sizes = [
        len((messages[-1]["content"] or "").encode()) if messages else 0 for messages in rows["messages"].to_list()
    ]
    return pl.Series([size >= prompt.max_new_tokens for size in sizes], dtype=pl.Boolean)


def prompt_may_be_too_long(rows: pl.DataFrame, context: int | None, prompt: PromptSettings) -> pl.Series:
    """For each of `rows`, whether its prompt must be tokenised to know its room: a token stands for a byte at least,
    and a template of the recipe's own may write much around each turn.
    """
    if context is None:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    turn = TURN_BYTES + len(prompt.chat_template.encode())
    sizes = pl.col("messages").list.eval(pl.element().struct.field("content").str.len_bytes() + turn).list.sum()
    around = len(prompt.system.encode()) + turn + prompt.max_new_tokens
    return rows.select(long=sizes + around > context)["long"]


def check_heldout_row(
    form: CallForm | None, tokenizer: Any, prompt: PromptSettings, context: int | None, row: dict[str, Any]
) -> None:
    """Raise DataError unless a row asks something, the template can ask it, with room for an answer, and give back the
    calls that it wants. form: None where no row has tools.
    """
    said, tools = turns(row), tools_of(row["meta"])
    asked = question(said)
    if not asked or asked[-1]["role"] not in ASKING:
        before = f"the turn of the {asked[-1]['role']}" if asked else "nothing"
        raise DataError(
            f"The row asks nothing: before its answer stands {before}, and a served model refuses such a conversation.",
            where="messages",
            allowed="the turn of a user or a tool before the last answer",
            todo="mend these rows (two answers in a row may be one), or take them out",
        )
    check_room(len(prompt_ids(tokenizer, asked, prompt, tools)), context, prompt, SHORTER)
    wanted = said[len(asked)] if len(asked) < len(said) else {}
    made = [call["function"] for call in with_arguments(wanted).get("tool_calls", ())]
    pairs = [(function["name"], function["arguments"]) for function in made]
    text = written_calls(tokenizer, [*asked, wanted], prompt, tools).strip() if pairs else ""
    _check_answer_room(tokenizer, text or wanted.get("content") or "", prompt)
    if pairs and form and form.read(text) != ((wanted["content"] or "").strip(), pairs):
        raise DataError(
            "The chat template writes its tool calls so that they cannot be read back from an answer.",
            where=WHERE,
            allowed="calls whose arguments are a JSON object",
            todo="mend the row, or take it out",
        )


def _check_answer_room(tokenizer: Any, wanted: str, prompt: PromptSettings) -> None:
    """Raise DataError for an answer that the best model could not give, as it would be cut before its end."""
    tokens = len(tokenizer.encode(wanted, add_special_tokens=False)) + 1  # its end is one
    if tokens > prompt.max_new_tokens:
        raise DataError(
            f"The answer that is wanted has {tokens:,} tokens with its end, and every answer is cut at "
            f"{prompt.max_new_tokens:,} (prompt.max_new_tokens).",
            where="messages",
            allowed=f"prompt.max_new_tokens of {tokens:,} or more, for this row",
            todo="raise prompt.max_new_tokens, or take these rows out",
        )


def check_examples(
    examples: Sequence[Message], sets: dict[str, pl.DataFrame], base: Handle, prompt: PromptSettings
) -> None:
    """Raise DataError where the template cannot write these solved examples before the first question of a set."""
    tokenizer = load_tokenizer(base.folder / "model")
    for frame in sets.values() if examples else ():
        for row in frame.sort("row_id").head(1).iter_rows(named=True):
            prompt_ids_after(tokenizer, examples, question(turns(row)), prompt, tools_of(row["meta"]))
