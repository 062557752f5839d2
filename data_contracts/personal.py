"""Personal data left in rows: what redact would still take out, found by running redact itself, so that the two agree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from tasks.core.ledger import ROW_SCHEMA


def kinds_in(rows: pl.DataFrame, kinds: Sequence[str]) -> pl.Series:
    """`personal_data`: the kinds found in each row, as `email, phone`, null where there is none; sorted by row_id.

    rows: ROW_SCHEMA; meta, which no model learns, is left out. kinds: of vocabulary.PERSONAL.
    """
    from tasks.redact import RedactSettings, redact

    other = pl.concat_list(pl.struct(role=pl.lit("assistant"), content="rejected"))
    both = pl.when(pl.col("rejected").is_null()).then("messages").otherwise(pl.concat_list("messages", other))
    learned = rows.with_columns(meta=pl.lit("{}"), messages=both, rejected=pl.lit(None, pl.String))
    wanted: dict[str, Any] = {"kinds": tuple(kinds)}
    told = redact(rows=learned, settings=RedactSettings(**wanted)).ledger.select("row_id", "evidence")
    found = {row_id: [kind for kind in kinds if kind in json.loads(evidence)] for row_id, evidence in told.iter_rows()}
    named = [", ".join(found.get(row_id, [])) or None for row_id in rows["row_id"].sort()]
    return pl.Series("personal_data", named, dtype=pl.String)


def hidden(texts: Iterable[str]) -> dict[str, str]:
    """Each text with its personal data replaced as redact does, for pages and files that people read."""
    from tasks.redact import RedactSettings, redact

    different = sorted(set(texts))
    rows = pl.DataFrame(
        [
            {"row_id": f"{n:012d}", "source": "", "line": n, "meta": "{}", "messages": [{"role": "user", "content": text}]}
            for n, text in enumerate(different)
        ],
        schema=ROW_SCHEMA,
    )  # fmt: skip
    kept = redact(rows=rows, settings=RedactSettings()).kept.sort("row_id")
    return dict(zip(different, (messages[0]["content"] for messages in kept["messages"].to_list()), strict=True))
