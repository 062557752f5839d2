"""What two rows are compared by: the question a row asks, in a form in which writing habits do not count."""

from __future__ import annotations

import polars as pl

from tasks.core.near_duplicates import near_duplicate_pairs


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
        system=_normalised(before.list.eval(content.filter(role == "system")).list.join("\n")),
        prompt=_normalised(before.list.eval(content.filter(role != "system")).list.join("\n")),
        answer=answer.fill_null("").str.strip_chars(),
    ).sort("row_id")


def similar_prompts(asked: pl.DataFrame, threshold: float, ngram: int) -> pl.DataFrame:
    """Pairs of `prompts` alike at the threshold, under the same system message: row_id_a < row_id_b, jaccard, sorted.

    asked: row_id, system, prompt; each (system, prompt) once, or the answer is quadratic in the copies.
    """
    pairs = near_duplicate_pairs(asked.select("row_id", text="prompt"), threshold, ngram)
    system = asked.select("row_id", "system")
    both = pairs.join(system, left_on="row_id_a", right_on="row_id").join(system, left_on="row_id_b", right_on="row_id")
    return both.filter(pl.col("system") == pl.col("system_right")).select(pairs.columns).sort("row_id_a", "row_id_b")


def _normalised(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
