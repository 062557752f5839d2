"""dedupe: of rows that ask the same thing, one stays; each row that goes names the kept row it duplicates.

Rows are compared by their prompt (tasks/core/prompts.py says what that is). The answer does not count: conflicts runs
before and holds back rows whose labels disagree, so what is left under one prompt says the same thing in other words.

The survivor is the row with the longest answer, then the longest prompt (it says most), then the smallest row_id.
Rows are taken in that order and a row goes if a row already kept is within the threshold: it is compared with kept
rows only, so there are no chains (A like B, B like C, and C gone for an A it does not resemble).
"""

from __future__ import annotations

from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.ledger import Outcome, entries, entry
from tasks.core.near_duplicates import near_duplicate_pairs
from tasks.core.prompts import prompts, similar_prompts
from tasks.core.settings import Settings

__all__ = ["DedupeSettings", "dedupe", "near_duplicate_pairs"]

EXACT, NEAR = "exact duplicate", "near duplicate"


class DedupeSettings(Settings):
    """When two prompts count as the same."""

    # Share of common shingles, |A & B| / |A | B|. 0.7 and 3 words: about one changed word in a message of twenty.
    threshold: float = Field(default=0.7, gt=0, le=1)
    # Words a shingle. Five is usual for web pages; messages are short, and one changed word breaks `ngram` shingles.
    ngram: int = Field(default=3, ge=1, le=10)


def dedupe(rows: pl.DataFrame, settings: DedupeSettings) -> Outcome:
    """Drop rows that repeat another row's prompt.

    Evidence of each dropped row: kept (row_id of the row that stays for it), jaccard (similarity of the two prompts).
    """
    says_more = [-pl.col(name).str.len_chars().cast(pl.Int64) for name in ("answer", "prompt")]
    ranked = prompts(rows).sort(*says_more, "row_id").with_row_index("rank")
    first = pl.col("row_id").sort_by("rank").first().over("system", "prompt")
    leaders = dict(ranked.select("row_id", leader=first).iter_rows())
    distinct = ranked.filter(pl.col("row_id") == first)
    gone = _near(distinct, similar_prompts(distinct, settings.threshold, settings.ngram))
    kept = pl.col("row_id").is_in([row_id for row_id in distinct["row_id"] if row_id not in gone])
    lost = rows.filter(~kept).select("row_id", "source", "line").iter_rows(named=True)
    return Outcome(rows.filter(kept), entries("dedupe", [_entry(row, leaders, gone) for row in lost]))


def _near(ranked: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, tuple[str, float]]:
    """{row that goes: (the most similar row kept, their similarity)}; ranked: row_id and rank, 0 the best."""
    rank = dict(ranked.select("row_id", "rank").iter_rows())
    by_rank = [(*sorted(((rank[a], a), (rank[b], b)), reverse=True), jaccard) for a, b, jaccard in pairs.iter_rows()]
    gone: dict[str, tuple[str, float]] = {}
    # The worse row ascending, so that the better row's fate is settled when it is asked for; the most similar first.
    for (_, worse), (_, better), jaccard in sorted(by_rank, key=lambda pair: (pair[0], -pair[2], pair[1])):
        if worse not in gone and better not in gone:
            gone[worse] = better, jaccard
    return gone


def _entry(row: dict[str, Any], leaders: dict[str, str], gone: dict[str, tuple[str, float]]) -> dict[str, Any]:
    leader = leaders[row["row_id"]]
    if leader in gone:  # also for an exact copy of a row that went: it has the same words, so the same similarity
        kept, jaccard = gone[leader]
        return entry(row, "dropped", NEAR, kept=kept, jaccard=round(jaccard, 4))
    return entry(row, "dropped", EXACT, kept=leader, jaccard=1.0)
