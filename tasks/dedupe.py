"""dedupe: of rows that ask the same thing, one stays; each row that goes names the kept row it duplicates.

Rows are compared by their prompt (tasks/core/prompts.py says what that is). The answer does not count: conflicts runs
before and holds back rows whose labels disagree, so what is left under one prompt says the same thing in other words.

The survivor is the row with the longest answer (it says most), then the shortest prompt (least around it), then the smallest
row_id.
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
    length = {name: pl.col(name).str.len_chars().cast(pl.Int64) for name in ("answer", "prompt")}
    ranked = prompts(rows).sort(-length["answer"], length["prompt"], "row_id").with_row_index("rank")
    best = pl.col("row_id").sort_by("rank").first()
    ranked = ranked.with_columns(copy_of=best.over("system", "prompt"))
    distinct = ranked.filter(pl.col("row_id") == pl.col("copy_of"))
    nodes, edges = similar_prompts(distinct, settings.threshold, settings.ngram)
    placed = distinct.join(nodes, on="row_id").with_columns(leader=best.over("node"))
    gone = _near(placed.filter(pl.col("row_id") == pl.col("leader")), edges)
    kept = pl.col("row_id").is_in([row_id for row_id in placed["leader"].unique() if row_id not in gone])
    lost = rows.select("row_id", "source", "line").join(ranked.select("row_id", "copy_of"), on="row_id").filter(~kept)
    known = lost.join(placed.select(copy_of="row_id", leader="leader", jaccard="jaccard"), on="copy_of")
    told = [_entry(row, gone) for row in known.iter_rows(named=True)]
    return Outcome(rows.filter(kept), entries("dedupe", told))


def _near(leaders: pl.DataFrame, edges: pl.DataFrame) -> dict[str, tuple[str, float]]:
    """{row that goes: (the most similar row kept, their similarity)}; leaders: node, row_id and rank, 0 the best."""
    place = {node: (rank, row_id) for node, rank, row_id in leaders.select("node", "rank", "row_id").iter_rows()}
    by_rank = [(*sorted((place[a], place[b]), reverse=True), jaccard) for a, b, jaccard in edges.iter_rows()]
    gone: dict[str, tuple[str, float]] = {}
    # The worse row ascending, so that the better row's fate is settled when it is asked for; the most similar first.
    for (_, worse), (_, better), jaccard in sorted(by_rank, key=lambda pair: (pair[0], -pair[2], pair[1])):
        if worse not in gone and better not in gone:
            gone[worse] = better, jaccard
    return gone


def _entry(row: dict[str, Any], gone: dict[str, tuple[str, float]]) -> dict[str, Any]:
    """row: also copy_of (best row with the same prompt), leader (best of that one's variants), jaccard (among variants)."""
    if row["leader"] in gone:  # its variants and their copies are exactly as like to the row that stays
        kept, jaccard = gone[row["leader"]]
    elif row["copy_of"] == row["leader"]:
        return entry(row, "dropped", EXACT, kept=row["leader"], jaccard=1.0)
    else:
        kept, jaccard = row["leader"], row["jaccard"]
    return entry(row, "dropped", NEAR, kept=kept, jaccard=round(jaccard, 4))
