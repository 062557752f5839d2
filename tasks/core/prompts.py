"""What two rows are compared by: the question a row asks, in a form in which writing habits do not count."""

from __future__ import annotations

import polars as pl

from tasks.core.near_duplicates import near_duplicate_groups


def prompts(rows: pl.DataFrame) -> pl.DataFrame:
    """What each row asks and answers: row_id, system, prompt, answer (all String), one row each, sorted by row_id.

    prompt: every message before the final answer but the system's, one below the other; of a conversation of several
    turns that is all the model is shown, earlier answers included. system: the system messages; the same words under
    another system message are another task. Both normalised: Unicode NFKC, lower case, white space collapsed. answer:
    the last message, if it is the assistant's, trimmed; else empty.
    """
    messages = pl.col("messages")
    final = messages.list.last().struct.field("role").eq_missing("assistant")
    before = pl.when(final).then(messages.list.head(messages.list.len() - 1)).otherwise(messages)
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content").fill_null("")
    answer = pl.when(final).then(messages.list.last().struct.field("content")).otherwise(pl.lit(""))
    return rows.select(
        "row_id",
        system=normalised(before.list.eval(content.filter(role == "system")).list.join("\n")),
        prompt=normalised(before.list.eval(content.filter(role != "system")).list.join("\n")),
        answer=answer.fill_null("").str.strip_chars(),
    ).sort("row_id")


def similar_prompts(asked: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which prompts are alike at the threshold under the same system message, as nodes and the edges between them.

    asked: row_id, system, prompt; each (system, prompt) once. Returns (nodes, edges). nodes: row_id, node (the smallest
    row_id among its variants: all alike, and as like to any other prompt as it is), jaccard (among the node's variants, 1
    if it is the only one). edges: a, b (two nodes, a < b), jaccard; sorted.
    """
    texts = asked.select("row_id", text="prompt", group=groups_of(asked["system"]))
    variants, pairs = near_duplicate_groups(texts, threshold, ngram)
    known = asked.select("row_id").join(variants, on="row_id", how="left")
    nodes = known.with_columns(node=pl.coalesce("first", "row_id"))
    within = pl.col("jaccard").max().over("node").fill_null(1.0)
    return nodes.select("row_id", "node", jaccard=within).sort("row_id"), pairs.rename({"row_id_a": "a", "row_id_b": "b"})


def groups_of(system: pl.Series) -> pl.Series:
    """Numbers from 0, equal where the system messages are: texts under different ones are never compared."""
    return (system.rank("dense") - 1).cast(pl.Int64)


def normalised(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
