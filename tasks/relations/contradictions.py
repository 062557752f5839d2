"""Contradictions between rows that nothing clears: what conflicts holds back, and what a contract counts.

    classification  the same or nearly the same text with another label
    sft             with a label (answer.label) the same or nearly the same prompt with another label. Without one
                    only the very same prompt with another verdict (yes and no, a final answer, a JSON field), or with
                    another fact (a number, a name, "not") in an answer worded alike: variety in prose is no
                    contradiction (asserted.py).
                    Nearly the same prompts with other labels do not contradict where each has a number or a name that
                    the other has not, or one more "not" (telling_words.py), nor where a word that only one has explains
                    its label (minimal_pairs.py); so it is for classification. Of thousands of variants of one text that
                    differ in a number, the few with another label do.
    preference      the same or nearly the same prompt and the same two answers, preferred the other way round; and
                    pairs whose chosen answer is the rejected one

Who is right is asked of a prompt's direct neighbours, itself included (never neighbours of neighbours, or a chain of
small edits would make strangers vote). Copies of a row, same prompt and same answer, are one vote: an export that
repeats itself proves nothing. Of one text sent thousands of times with small changes all rows vote together
(prompts.py).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.data.dates import USUAL, written_at
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.claims import claims, has_labels
from tasks.relations.minimal_pairs import without_minimal_pairs, without_told_apart
from tasks.relations.prompts import normalised, prompts
from tasks.relations.similar_prompts import similar_prompts
from tasks.similarity.word_ngrams import jaccard

CONTRADICTS, NO_CHOICE = "contradicts another row", "chosen answer is the rejected one"
SHOWN = 5  # labels and characters of a label that the evidence repeats; free text could be long
SHOWN_CHARACTERS = 80


class ContradictionSettings(Settings):
    """When two rows contradict each other, and which of them stands: shared by conflicts and by the contract that
    counts.
    """

    # The same measure as in dedupe, so that rows which dedupe would merge have been compared here before.
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=3, ge=1, le=10)
    # majority: the label with more than half of the votes stays, for labels by several hands. newest: the label of the
    # newest row stays, for answers that follow a policy that changed. The other rows, and every row where there is no
    # such label, go to a person. quarantine: every row involved goes to a person, for data where a wrong label is worse
    # than a lost row; drop: every row involved is dropped. off: for data that means to hold several answers to one
    # prompt.
    policy: Literal["majority", "newest", "drop", "quarantine", "off"] = "majority"
    # For newest: the column of the source that holds a row's date (ISO 8601, mail, or seconds since 1970). Empty: any
    # of updated_at, modified_at, created_at, timestamp, datetime, date, created, time, the first of them that has one.
    date: str = ""


def contradicting(
    rows: pl.DataFrame, settings: ContradictionSettings, answer: AnswerSettings, kind: RowKind
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Find rows that contradict others and are not cleared: {row_id: (reason, evidence)}.

    Every row involved with policy off: then nobody is asked who is right. Evidence: partner (row_id of the most similar
    row that says otherwise), jaccard (of the two prompts), label (its own), labels (votes by label among its
    neighbours, most first; five at most; with policy newest also the date of the newest row); none of a pair that
    prefers an answer to itself.
    """
    found = {row_id: (CONTRADICTS, about) for row_id, about in _contradictions(rows, settings, answer, kind).items()}
    same = _same_answers(rows) if kind.has_rejected else set()
    return {**found, **{row_id: (NO_CHOICE, {}) for row_id in same}}


def _same_answers(rows: pl.DataFrame) -> set[str]:
    chosen = prompts(rows).select("row_id", chosen=normalised(pl.col("answer")))
    both = rows.select("row_id", rejected=normalised(pl.col("rejected"))).join(chosen, on="row_id")
    return set(both.filter(pl.col("chosen") == pl.col("rejected"))["row_id"])


def _contradictions(
    rows: pl.DataFrame, settings: ContradictionSettings, answer: AnswerSettings, kind: RowKind
) -> dict[str, dict[str, Any]]:
    """{row_id that is held back: evidence}."""
    asked = claims(rows, answer, kind, settings.threshold, settings.ngram)
    asked = asked.join(_dates(rows, settings), on="row_id", how="left")
    labels = has_labels(answer, kind)
    asked, edges = _placed(asked, settings, near=labels or kind.has_rejected)
    if labels:
        asked, edges = _by_label(asked, edges)
    if labels or kind.has_rejected:
        edges = without_told_apart(edges, asked, rows)
    if labels:
        edges = without_minimal_pairs(
            edges, asked.filter(pl.col("row_id") == pl.col("node")).select("node", "prompt", "label")
        )
    overruled = _overruled(_neighbours(asked, edges), settings.policy)
    nearest = _same_prompt(asked)
    columns = asked.select("row_id", "first", "node", "label").iter_rows()
    found = {
        row_id: overruled[node, label] | nearest.get((first, label), {})
        for row_id, first, node, label in columns
        if (node, label) in overruled
    }
    return _measured(found, asked, settings.ngram)


def _dates(rows: pl.DataFrame, settings: ContradictionSettings) -> pl.DataFrame:
    """row_id, date: seconds since 1970, null where a row has none or where nobody asks."""
    if settings.policy != "newest":
        return rows.select("row_id", date=pl.lit(None, pl.Float64))
    names = (settings.date,) if settings.date else USUAL
    dates = [written_at(meta, names) for meta in rows["meta"]]
    if rows.height and not any(date is not None for date in dates):
        raise DataError(
            "No row has a date, so none is the newest.",
            where=f"conflicts; looked for {', '.join(names)} beside the messages",
            allowed="a column with ISO 8601 dates, mail dates, or seconds since 1970",
            todo="name the column as conflicts.date in the recipe, or choose another conflicts.policy",
        )
    return pl.DataFrame({"row_id": rows["row_id"], "date": dates}, schema={"row_id": pl.String, "date": pl.Float64})


def _placed(asked: pl.DataFrame, settings: ContradictionSettings, *, near: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """asked with the node of its prompt, and the edges between nodes both ways and to themselves:
    node, other, jaccard.
    """
    if not near:
        distinct = asked.unique("first", maintain_order=True)
        return asked.with_columns(node="first"), distinct.select(node="first", other="first", jaccard=pl.lit(1.0))
    distinct = asked.filter(pl.col("row_id") == pl.col("first"))
    nodes, edges = similar_prompts(distinct, settings.threshold, settings.ngram)
    itself = nodes.filter(pl.col("row_id") == pl.col("node")).select("node", other="node", jaccard="jaccard")
    ways = [edges.select(node=one, other=two, jaccard="jaccard") for one, two in ("ab", "ba")]
    return asked.join(nodes.select(first="row_id", node="node"), on="first"), pl.concat([itself, *ways])


def _by_label(asked: pl.DataFrame, edges: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same with a node for each label at a node; two labels of the very same prompt are at a distance of 1."""
    split = asked.with_columns(part=pl.col("row_id").min().over("node", "label"))
    parts = split.select("node", "part").unique()
    ways = edges.join(parts, on="node").join(parts, left_on="other", right_on="node", suffix="_b")
    places = split.select("first", "part").unique()
    met = places.join(places, on="first", suffix="_b").select("part", "part_b", same=pl.lit(1.0)).unique()
    known = ways.join(met, on=["part", "part_b"], how="left")
    itself = pl.col("part") == pl.col("part_b")
    jaccard = pl.when(itself).then("jaccard").otherwise(pl.coalesce("same", "jaccard"))
    return split.with_columns(node="part"), known.select(node="part", other="part_b", jaccard=jaccard)


def _neighbours(asked: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """For each contested node, every label at it and at the nodes like it: node, other, jaccard, label, votes, row_id,
    date.
    """
    voices = pl.struct("prompt", "answer").n_unique()
    votes = asked.group_by("node", "label").agg(votes=voices, row_id=pl.col("row_id").min(), date=pl.col("date").max())
    around = edges.join(votes, left_on="other", right_on="node")
    return around.filter(pl.col("label").n_unique().over("node") > 1)


def _same_prompt(asked: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """{(first, label): evidence} where the very same prompt has another label too: nothing is a nearer partner."""
    claimed = asked.group_by("first", "label").agg(pl.col("row_id").min())
    contested = claimed.filter(pl.col("label").n_unique().over("first") > 1).sort("first", "row_id")
    by_prompt: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for first, label, row_id in contested.iter_rows():
        by_prompt[first].append((label, row_id))
    return {
        (first, label): {"partner": next(other for name, other in said if name != label), "jaccard": 1.0}
        for first, said in by_prompt.items()
        for label, _ in said
    }


def _overruled(around: pl.DataFrame, policy: str) -> dict[tuple[str, str], dict[str, Any]]:
    """{(node, label) that is held back: evidence}."""
    by_node: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for claim in around.sort("node", -pl.col("jaccard").fill_null(1), "row_id").iter_rows(named=True):
        by_node[claim["node"]].append(claim)
    found = {}
    for node, said in by_node.items():
        votes = _count(said)
        winner = _winner(votes, policy)
        shown = [{"label": label[:SHOWN_CHARACTERS], **about} for label, about in islice(votes.items(), SHOWN)]
        for label in {claim["label"] for claim in said if claim["other"] == node} - {winner}:
            partner = next(claim for claim in said if claim["label"] != label)
            about = {"partner": partner["row_id"], "jaccard": partner["jaccard"]}
            found[node, label] = {**about, "label": label[:SHOWN_CHARACTERS], "labels": shown}
    return found


def _winner(votes: dict[str, dict[str, Any]], policy: str) -> str | None:
    if policy == "newest":
        newest = max(about.get("newest", "") for about in votes.values())
        latest = [label for label, about in votes.items() if about.get("newest", "") == newest]
        return latest[0] if newest and len(latest) == 1 else None
    first, most = next((label, about["votes"]) for label, about in votes.items())
    return first if policy == "majority" and 2 * most > sum(about["votes"] for about in votes.values()) else None


def _count(said: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By label, most votes first: votes and, where rows have dates, newest (ISO 8601, UTC)."""
    votes: dict[str, int] = defaultdict(int)
    dates: dict[str, float] = {}
    for claim in said:
        votes[claim["label"]] += claim["votes"]
        if claim["date"] is not None:
            dates[claim["label"]] = max(claim["date"], dates.get(claim["label"], claim["date"]))
    ordered = sorted(votes.items(), key=lambda item: (-item[1], item[0]))
    told = {label: datetime.fromtimestamp(date, UTC).isoformat() for label, date in dates.items()}
    return {label: {"votes": n} | ({"newest": told[label]} if label in told else {}) for label, n in ordered}


def _measured(found: dict[str, dict[str, Any]], asked: pl.DataFrame, ngram: int) -> dict[str, dict[str, Any]]:
    """The evidence with the similarity to the partner where it is not known yet: inside one text's
    thousand variants.
    """
    named = {name for row_id, about in found.items() if about["jaccard"] is None for name in (row_id, about["partner"])}
    text = dict(asked.filter(pl.col("row_id").is_in(list(named))).select("row_id", "prompt").iter_rows())
    for row_id, about in found.items():
        score = jaccard(text[row_id], text[about["partner"]], ngram) if about["jaccard"] is None else about["jaccard"]
        about["jaccard"] = round(score, 4)
    return found
