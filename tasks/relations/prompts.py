"""Prompts of rows in a normal form, in which writing habits do not count: what two rows are compared by."""

from __future__ import annotations

import json

import polars as pl

from tasks.core.row import tools_of, with_calls


def prompts(rows: pl.DataFrame) -> pl.DataFrame:
    """What each row asks and answers: row_id, system, prompt, answer (all String), one row each, sorted by row_id.

    prompt: every message before the final answer but the system's, one below the other; of a conversation of several
    turns that is all the model is shown, earlier answers included. system: the system messages; the same words under
    another system message, or with other tools on offer, are another task. Both normalised: Unicode NFKC, lower case,
    white space collapsed. answer: the last message, if it is the assistant's, trimmed; else empty. Calls are part of
    what it says.
    """
    rows, messages = with_calls(rows), pl.col("messages")
    final = messages.list.last().struct.field("role").eq_missing("assistant")
    answer = pl.when(final).then(messages.list.last().struct.field("content")).otherwise(pl.lit(""))
    system, prompt = _before_answer()
    return rows.select(
        "row_id",
        system=normalised(pl.concat_str(system, *_tools(rows), separator="\n", ignore_nulls=True)),
        prompt=normalised(prompt),
        answer=answer.fill_null("").str.strip_chars(),
    ).sort("row_id")


def prompts_as_written(rows: pl.DataFrame) -> dict[str, str]:
    """{row_id: its prompt, not normalised}: a name is told by its capital."""
    return dict(with_calls(rows).select("row_id", prompt=_before_answer()[1]).iter_rows())


def _before_answer() -> tuple[pl.Expr, pl.Expr]:
    """The system messages and the other ones before the final answer, one below the other."""
    messages = pl.col("messages")
    final = messages.list.last().struct.field("role").eq_missing("assistant")
    before = pl.when(final).then(messages.list.head(messages.list.len() - 1)).otherwise(messages)
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content").fill_null("")
    wanted = role == "system", role != "system"
    system, prompt = (before.list.eval(content.filter(which)).list.join("\n") for which in wanted)
    return system, prompt


def _tools(rows: pl.DataFrame) -> list[pl.Series]:
    """The tools on offer in each row, as text, if any row has some."""
    offers = rows["meta"].str.contains('"tools"', literal=True).fill_null(False) if "meta" in rows.columns else None
    if offers is None or not offers.any():
        return []
    found = (tools_of(meta) if offer else None for meta, offer in zip(rows["meta"], offers, strict=True))
    texts = [tools and json.dumps(tools, ensure_ascii=False, sort_keys=True) for tools in found]
    return [pl.Series("tools", texts, pl.String)]


def groups_of(system: pl.Series) -> pl.Series:
    """Numbers from 0, equal where the system messages are: texts under different ones are never compared."""
    return (system.rank("dense") - 1).cast(pl.Int64)


def normalised(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
