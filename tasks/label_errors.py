"""label errors: rows whose label the rest of the data contradicts, ranked, each with the label that fits better.

Confident learning (Northcutt, Jiang and Chuang, JAIR 2021; the cleanlab library): a classifier that never saw a row says
how likely each label is for its text. From how often it is confident of another label than the given one follows how many
labels are wrong; that many rows, those with the least likely given label, are suspects. One more thing is asked of a
suspect here: its text must make the given label less likely than it would be for any text (`lift`). Where a classifier is
weak, suspects are mostly its own mistakes, and this rule clears more of those than it loses wrong labels.

The classifier is logistic regression on word and letter vectors (tasks/core/vectors.py), fitted `folds` times.

classification: the label is the answer. sft: the label is the answer's `answer.label` field, or the whole answer when the
answers are free text of which few differ; other sft answers have no label, and preference pairs have none: all are kept.
Rows of labels that are too rare to be learnt are kept too, and noted in the ledger as not judged.
"""

from __future__ import annotations

import json
import warnings
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.answer import AnswerSettings, label_of, parse
from tasks.core.ledger import Outcome, changed, entries, entry
from tasks.core.prompts import prompts
from tasks.core.settings import DatasetKind, Settings
from tasks.core.vectors import Vectors, one_thread, text_vectors

SUSPECT, RELABELLED = "label is probably wrong", "label replaced by a likelier one"
NOT_JUDGED = "too few rows of its label to judge it"
SHOWN_CHARACTERS = 80  # of a label in the evidence
TRAINING_ROWS = 50_000  # that a fold's classifier is fitted on at most: one in a million rows is judged as well by these
PENALTY = 3.0  # inverse strength; 1, 3 and 10 were tried on Banking77, SMS Spam and the example
ITERATIONS = 40  # of L-BFGS; more change no verdict that was looked at

DIGITS = 6  # of a likelihood that count: the last ones differ between processors
FEW_DIFFER = 10  # rows a distinct free-text answer, on average, from which answers are taken for labels

Likelihood = NDArray[np.float64]
Evidence = dict[str, Any]


class LabelErrorSettings(Settings):
    """What becomes of rows whose label is probably wrong."""

    # quarantine: a person decides. relabel: the suggested label replaces the given one; nothing else of the answer changes,
    # so only for answers that are no more than their label. report: kept, with a note in the ledger. off: not looked for.
    policy: Literal["quarantine", "relabel", "report", "off"] = "quarantine"
    # How likely the given label may be for a suspect's text, in multiples of the label's share of all rows. 1: as likely as if
    # the text were not known. Less holds back fewer rows, and the surer ones.
    lift: float = Field(default=1.0, gt=0, le=10)
    # Classifiers, each fitted without the rows it judges. Ten let each learn from nine tenths, and small data needs them.
    folds: int = Field(default=10, ge=2, le=50)
    # Rows a label needs to be judged, and to be suggested: nine examples to learn from are few enough.
    min_rows: int = Field(default=10, ge=2)


def label_errors(rows: pl.DataFrame, settings: LabelErrorSettings, answer: AnswerSettings, kind: DatasetKind) -> Outcome:
    """Quarantine, relabel or note the rows whose label is probably wrong.

    Evidence of each: given and suggested (labels), self_confidence (probability of the given label), confidence (of the
    suggested one), lift (self_confidence in multiples of the label's share), rank (1 the surest) of so many.
    """
    if settings.policy == "off":
        return Outcome(rows, entries("label_errors", []))
    asked = _labelled(rows, answer, kind)
    often = pl.len().over("label") >= settings.min_rows
    judged = asked.filter(often)
    found = _suspects(judged, settings) if judged["label"].n_unique() > 1 else {}
    rare = dict(asked.filter(~often).select("row_id", rows=pl.len().over("label")).iter_rows())
    told = [
        entry(row, "kept", NOT_JUDGED, rows=rare[row["row_id"]], needed=settings.min_rows)
        for row in _picked(rows, list(rare)).iter_rows(named=True)
    ]
    suspects = _picked(rows, list(found))
    if settings.policy == "relabel":
        return _relabelled(rows, suspects, found, told, answer)
    action = "quarantined" if settings.policy == "quarantine" else "kept"
    told += [entry(row, action, SUSPECT, **found[row["row_id"]]) for row in suspects.iter_rows(named=True)]
    kept = rows.join(suspects, on="row_id", how="anti") if action == "quarantined" else rows
    return Outcome(kept.sort("row_id"), entries("label_errors", told))


def _picked(rows: pl.DataFrame, row_ids: list[str]) -> pl.DataFrame:
    return rows.filter(pl.col("row_id").is_in(row_ids))


def _labelled(rows: pl.DataFrame, answer: AnswerSettings, kind: DatasetKind) -> pl.DataFrame:
    """row_id, prompt, label of the rows that have a label, sorted by row_id; none if the data has no labels."""
    asked = prompts(rows)
    label = pl.col("answer").map_elements(lambda text: label_of(text, answer), return_dtype=pl.String, skip_nulls=False)
    asked = asked.select("row_id", "prompt", label=label).filter(pl.col("label") != "")
    if kind.name == "classification" or (kind.name == "sft" and answer.label):
        return asked
    few = kind.name == "sft" and asked["label"].n_unique() * FEW_DIFFER <= asked.height
    return asked if few else asked.clear()


def _suspects(judged: pl.DataFrame, settings: LabelErrorSettings) -> dict[str, Evidence]:
    """{row_id: evidence}, the surest first."""
    from cleanlab.filter import find_label_issues

    names = judged["label"].unique().sort().to_list()
    given = judged["label"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    likely = _likelihood(text_vectors(judged["prompt"].to_list()), given, settings.folds)
    place = np.arange(len(given))
    own = likely[place, given]
    lift = own / (np.bincount(given) / len(given))[given]
    likely[place, given] = 0
    best = likely.argmax(axis=1)
    likely[place, given] = own
    unsure = find_label_issues(given, likely, filter_by="low_self_confidence", n_jobs=1)
    suspect = np.flatnonzero(unsure & (lift < settings.lift) & (likely[place, best] > own))
    order = suspect[np.lexsort((suspect, own[suspect]))]
    ids = judged["row_id"].to_list()
    return {
        ids[i]: {
            "given": names[given[i]][:SHOWN_CHARACTERS], "suggested": names[best[i]][:SHOWN_CHARACTERS],
            "self_confidence": float(own[i]), "confidence": float(likely[i, best[i]]), "lift": round(float(lift[i]), 4),
            "rank": rank, "of": len(order),
        }
        for rank, i in enumerate(order, 1)
    }  # fmt: skip


def _likelihood(vectors: Vectors, given: NDArray[np.int64], folds: int) -> Likelihood:
    """Out-of-fold probability of each label, n x labels; rounded, so that no verdict hangs on the last digits.

    Folds: rows of a label in row_id order, dealt out in turn, so that each fold has each label's share.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fold = np.empty(len(given), dtype=np.int64)
    fold[np.argsort(given, kind="stable")] = np.arange(len(given)) % folds
    likely = np.zeros((len(given), given.max() + 1))
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is meant, see ITERATIONS
        for held_out in range(folds):
            learnt = np.flatnonzero(fold != held_out)[:TRAINING_ROWS]
            model = LogisticRegression(C=PENALTY, max_iter=ITERATIONS).fit(vectors[learnt], given[learnt])
            judged = np.flatnonzero(fold == held_out)
            likely[np.ix_(judged, model.classes_)] = model.predict_proba(vectors[judged])
    likely = np.round(likely, DIGITS)
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def _relabelled(
    rows: pl.DataFrame, suspects: pl.DataFrame, found: dict[str, Evidence], told: list[dict[str, Any]], answer: AnswerSettings
) -> Outcome:
    new = []
    for row in suspects.iter_rows(named=True):
        messages = [*row["messages"][:-1], _with_label(row["messages"][-1], found[row["row_id"]]["suggested"], answer)]
        new.append({**row, "messages": messages})
        told.append(changed(row, new[-1], RELABELLED, **found[row["row_id"]]))
    kept = pl.concat([rows.join(suspects, on="row_id", how="anti"), pl.DataFrame(new, schema=rows.schema)])
    return Outcome(kept.sort("row_id"), entries("label_errors", told))


def _with_label(message: dict[str, Any], label: str, answer: AnswerSettings) -> dict[str, Any]:
    if not answer.label:
        return {**message, "content": label}
    value = parse(message["content"]) or {}
    return {**message, "content": json.dumps({**value, answer.label: label}, ensure_ascii=False)}
