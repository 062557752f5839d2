"""conflicts: rows that ask the same thing and answer it differently; the majority stays, a person sees the rest.

Rows with a label (answer.label) contradict each other when their prompts are the same or nearly the same and their
labels differ. Without a label only the same prompt with another answer is a contradiction: two free texts under two
similar prompts rarely are one.

Who is right is a vote among a prompt's direct neighbours, itself included (never neighbours of neighbours, or a chain
of small edits would make strangers vote). Copies of a row, same prompt and same answer, are one vote: an export that
repeats itself proves nothing. More than half of the votes win; without a majority everyone involved is held back.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import Any, Literal

import polars as pl
from pydantic import Field

from tasks.core.answer import AnswerSettings, label_of
from tasks.core.ledger import Outcome, entries, entry
from tasks.core.prompts import prompts, similar_prompts
from tasks.core.settings import Settings

REASON = "contradicts another row"
SHOWN = 5  # labels and characters of a label that the evidence repeats; free text could be long
SHOWN_CHARACTERS = 80


class ConflictSettings(Settings):
    """When two rows contradict each other, and what becomes of them."""

    # The same measure as in dedupe, so that rows which dedupe would merge have been compared here before.
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=3, ge=1, le=10)
    # majority: rows with most votes stay. quarantine: every row involved goes to a person, for data where a wrong label
    # is worse than a lost row. off: for data that means to hold several answers to one prompt.
    policy: Literal["majority", "quarantine", "off"] = "majority"


def conflicts(rows: pl.DataFrame, settings: ConflictSettings, answer: AnswerSettings) -> Outcome:
    """Quarantine the rows that a contradiction does not clear.

    Evidence of each: partner (row_id of the most similar row that says otherwise), jaccard (of the two prompts), label
    (its own), labels (votes by label among its neighbours, most first; five at most).
    """
    if settings.policy == "off":
        return Outcome(rows, entries("conflicts", []))
    asked, edges = _placed(_labelled(rows, answer), settings, near=bool(answer.label))
    overruled = _overruled(_neighbours(asked, edges), majority=settings.policy == "majority")
    nearest = _same_prompt(asked)
    found = {
        row_id: overruled[node, label] | nearest.get((first, label), {})
        for row_id, first, node, label in asked.select("row_id", "first", "node", "label").iter_rows()
        if (node, label) in overruled
    }
    held = pl.col("row_id").is_in(list(found))
    lost = rows.filter(held).select("row_id", "source", "line").iter_rows(named=True)
    told = [entry(row, "quarantined", REASON, **found[row["row_id"]]) for row in lost]
    return Outcome(rows.filter(~held), entries("conflicts", told))


def _labelled(rows: pl.DataFrame, answer: AnswerSettings) -> pl.DataFrame:
    """prompts with label, and first: the smallest row_id with the same prompt. Rows without a label take no part."""
    label = pl.col("answer").map_elements(lambda text: label_of(text, answer), return_dtype=pl.String, skip_nulls=False)
    asked = prompts(rows).with_columns(label=label).drop_nulls("label")
    return asked.with_columns(first=pl.col("row_id").min().over("system", "prompt"))


def _placed(asked: pl.DataFrame, settings: ConflictSettings, *, near: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """asked with the node of its prompt, and the edges between nodes both ways and to themselves: node, other, jaccard."""
    distinct = asked.filter(pl.col("row_id") == pl.col("first"))
    if not near:
        return asked.with_columns(node="first"), distinct.select(node="first", other="first", jaccard=pl.lit(1.0))
    nodes, edges = similar_prompts(distinct, settings.threshold, settings.ngram)
    itself = nodes.filter(pl.col("row_id") == pl.col("node")).select("node", other="node", jaccard="jaccard")
    ways = [edges.select(node=one, other=two, jaccard="jaccard") for one, two in ("ab", "ba")]
    return asked.join(nodes.select(first="row_id", node="node"), on="first"), pl.concat([itself, *ways])


def _neighbours(asked: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """For each contested node, every label at it and at the nodes like it: node, other, jaccard, label, votes, row_id."""
    voices = pl.struct("prompt", "answer").n_unique()
    votes = asked.group_by("node", "label").agg(votes=voices, row_id=pl.col("row_id").min())
    around = edges.join(votes, left_on="other", right_on="node")
    return around.filter(pl.col("label").n_unique().over("node") > 1)


def _same_prompt(asked: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """{(first, label): evidence} where the very same prompt has another label too: nothing is a nearer partner."""
    claims = asked.group_by("first", "label").agg(pl.col("row_id").min())
    contested = claims.filter(pl.col("label").n_unique().over("first") > 1).sort("first", "row_id")
    by_prompt: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for first, label, row_id in contested.iter_rows():
        by_prompt[first].append((label, row_id))
    return {
        (first, label): {"partner": next(other for name, other in claims if name != label), "jaccard": 1.0}
        for first, claims in by_prompt.items()
        for label, _ in claims
    }


def _overruled(around: pl.DataFrame, *, majority: bool) -> dict[tuple[str, str], dict[str, Any]]:
    """{(node, label) that is held back: evidence}."""
    by_node: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for claim in around.sort("node", -pl.col("jaccard"), "row_id").iter_rows(named=True):
        by_node[claim["node"]].append(claim)
    found = {}
    for node, claims in by_node.items():
        votes = _count(claims)
        first, most = next(iter(votes.items()))
        winner = first if majority and 2 * most > sum(votes.values()) else None
        shown = [{"label": label[:SHOWN_CHARACTERS], "votes": n} for label, n in islice(votes.items(), SHOWN)]
        for label in {claim["label"] for claim in claims if claim["other"] == node} - {winner}:
            partner = next(claim for claim in claims if claim["label"] != label)
            about = {"partner": partner["row_id"], "jaccard": round(partner["jaccard"], 4)}
            found[node, label] = {**about, "label": label[:SHOWN_CHARACTERS], "labels": shown}
    return found


def _count(claims: list[dict[str, Any]]) -> dict[str, int]:
    """Votes by label, most first."""
    votes: dict[str, int] = defaultdict(int)
    for claim in claims:
        votes[claim["label"]] += claim["votes"]
    return dict(sorted(votes.items(), key=lambda item: (-item[1], item[0])))
