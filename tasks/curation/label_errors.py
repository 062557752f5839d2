"""label errors: rows whose label the rest of the data contradicts, ranked, each with the label that fits better.

Confident learning (Northcutt, Jiang and Chuang, JAIR 2021; the cleanlab library): a classifier that never saw a row
says how likely each label is for its text. From how often it is confident of another label than the given one follows
how many labels are wrong; that many rows, those with the least likely given label, are suspects. One more thing is
asked of a suspect here: its text must make the given label less likely than it would be for any text (`lift`). Where a
classifier is weak, suspects are mostly its own mistakes, and this rule clears more of those than it loses wrong labels.

These are guesses of a small classifier, so by default they are only noted. Where the recipe lets them act, no label
loses more than a stated share of its rows, and where the classifier hardly knows more than which label is the
commonest, nothing is taken for wrong at all.

The classifier is logistic regression on word and letter vectors (tasks/similarity/tfidf_vectors.py), fitted `folds`
times.

classification: the label is the answer. sft: the label is the answer's `answer.label` field, or the whole answer when
the answers are free text of which few differ; other sft answers have no label, and preference pairs have none: all are
kept. Rows of labels that are too rare to be learnt are kept too, and noted in the ledger as not judged.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.ledger import Outcome, changed, entries, entry
from tasks.core.row import without_calls
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.metrics.answer_schema import AnswerSettings, parse
from tasks.relations.labels import labelled
from tasks.relations.prompts import prompts
from tasks.similarity.tfidf_vectors import Vectors, one_thread, text_vectors

STEP = "label_errors"
SUSPECT, RELABELLED = "label is probably wrong", "label replaced by a likelier one"
NOT_JUDGED = "too few rows of its label to judge it"
UNTOLD = "texts hardly tell the labels, so none is judged"
SHOWN_CHARACTERS = 80  # of a label in the evidence
TRAINING_ROWS = 50_000  # that a fold's classifier is fitted on at most, or a million rows would take half an hour
STRENGTH = (
    5.0  # C of the regression, more fits closer; 1, 3, 5 and 10 were tried on Banking77, SMS Spam and the example
)
ITERATIONS = 40  # of L-BFGS; more change no verdict that was looked at
# Of the rows that lack the commonest label, the part that a classifier must get right in the balance (its accuracy
# beyond that label's share): with less, its doubts are its own. On the example it is 0.54.
SKILL = 0.2
DIGITS = 6  # of a likelihood that count: the last ones differ between processors

Likelihood = NDArray[np.float32]


class LabelErrorSettings(Settings):
    """What becomes of rows whose label is probably wrong."""

    # report: kept, with a note in the ledger, for right labels that are rare or hard to tell look wrong as well.
    # quarantine: a person decides. relabel: the suggested label replaces the given one; nothing else of the answer
    # changes, so only for answers that are no more than their label. off: not looked for.
    policy: Literal["quarantine", "relabel", "report", "off"] = "report"
    # Share of a label's rows that quarantine and relabel may take, the surest first; the others are noted. Of a label
    # that seems wrong more often it is as likely that the classifier cannot tell it. The example's lose 11 % at most.
    max_share: float = Field(default=0.2, gt=0, le=1)
    # How likely the given label may be for a suspect's text, in multiples of the label's share of all rows. A text that
    # tells nothing has 0.91 to 1.1 (the fold that holds it out has a row of its label more or less). Less holds back
    # fewer rows, and surer ones: on the example 1.0, 0.9 and 0.8 were right about 52, 59 and 74 % of 50, 41 and 23
    # rows; 40 are wrong.
    lift: float = Field(default=0.9, gt=0, le=10)
    # Classifiers, each fitted without the rows it judges. Ten let each learn from nine tenths, and small data needs
    # them.
    folds: int = Field(default=10, ge=2, le=50)
    # Rows a label needs to be judged, and to be suggested: nine examples to learn from are few enough.
    min_rows: int = Field(default=10, ge=2)


@dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong: its label, the one that fits better, and what the ledger says."""

    given: str
    better: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Judgement:
    """suspects: by row id, the surest first. accuracy: share of the rows whose label is also the likeliest. commonest:
    share of the commonest label.
    """

    suspects: dict[str, Suspect]
    accuracy: float
    commonest: float

    @property
    def knows_labels(self) -> bool:
        return self.accuracy - self.commonest >= SKILL * (1 - self.commonest)


def label_errors(rows: pl.DataFrame, settings: LabelErrorSettings, answer: AnswerSettings, kind: RowKind) -> Outcome:
    """Note, quarantine or relabel the rows whose label is probably wrong.

    Evidence of each: given and suggested (labels), self_confidence (probability of the given label), confidence (of the
    suggested one), lift (self_confidence in multiples of the label's share), rank (1 the surest) of so many, accuracy
    (share of all rows whose label the classifier would give as well).
    Holds twelve bytes a row and label in memory: 0.9 GB for a million rows of 77 labels.
    """
    if settings.policy == "off":
        return Outcome(rows, entries(STEP, []))
    asked = labelled(without_calls(rows), answer, kind).drop_nulls("label")
    often = pl.len().over("label") >= settings.min_rows
    judged = asked.filter(often)
    rare = dict(asked.filter(~often).select("row_id", pl.len().over("label")).iter_rows())
    told = [
        entry(row, "kept", NOT_JUDGED, rows=rare[row["row_id"]], needed=settings.min_rows)
        for row in _picked(rows, list(rare))
    ]
    found = _judgement(judged, settings) if judged["label"].n_unique() > 1 else Judgement({}, 0.0, 0.0)
    sizes = dict(judged.group_by("label").len().iter_rows())
    taken = _taken(found, sizes, settings)
    told += [_noted(row, found) for row in _picked(rows, [row_id for row_id in found.suspects if row_id not in taken])]
    suspects, rest = _picked(rows, list(taken)), rows.filter(~pl.col("row_id").is_in(list(taken)))
    if settings.policy != "relabel":
        told += [entry(row, "quarantined", SUSPECT, **taken[row["row_id"]].evidence) for row in suspects]
        return Outcome(rest, entries(STEP, told))
    values = _values(rows, answer)
    new = [_relabelled(row, values[taken[row["row_id"]].better], answer) for row in suspects]
    told += [changed(a, b, RELABELLED, **taken[a["row_id"]].evidence) for a, b in zip(suspects, new, strict=True)]
    return Outcome(pl.concat([rest, pl.DataFrame(new, schema=rows.schema)]).sort("row_id"), entries(STEP, told))


def _taken(found: Judgement, sizes: dict[str, int], settings: LabelErrorSettings) -> dict[str, Suspect]:
    """The suspects that are acted on: of each label the surest, up to its share."""
    if settings.policy == "report" or not found.knows_labels:
        return {}
    left = {label: int(settings.max_share * rows) for label, rows in sizes.items()}
    taken = {}
    for row_id, suspect in found.suspects.items():
        left[suspect.given] -= 1
        if left[suspect.given] >= 0:
            taken[row_id] = suspect
    return taken


def _noted(row: dict[str, Any], found: Judgement) -> dict[str, Any]:
    if not found.knows_labels:
        accuracy, commonest = _rounded(found.accuracy), _rounded(found.commonest)
        return entry(row, "kept", UNTOLD, accuracy=accuracy, commonest_label=commonest)
    return entry(row, "kept", SUSPECT, **found.suspects[row["row_id"]].evidence)


def _picked(rows: pl.DataFrame, row_ids: list[str]) -> list[dict[str, Any]]:
    return rows.filter(pl.col("row_id").is_in(row_ids)).to_dicts()


def _judgement(judged: pl.DataFrame, settings: LabelErrorSettings) -> Judgement:
    """What a classifier holds of labels. judged: row_id, prompt, label, sorted by row_id."""
    from cleanlab.filter import find_label_issues

    names = judged["label"].unique().sort().to_list()
    given = judged["label"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    likely = likelihood(text_vectors(judged["prompt"].to_list()), given, settings.folds)
    place = np.arange(len(given))
    own, shares = likely[place, given], np.bincount(given) / len(given)
    lift = own / shares[given]
    best = likely.argmax(axis=1)
    unsure = find_label_issues(given, likely, filter_by="low_self_confidence", n_jobs=1)
    suspect = np.flatnonzero(unsure & (lift < settings.lift) & (best != given))
    order = suspect[np.lexsort((suspect, own[suspect]))]
    accuracy = float((best == given).mean())
    found = {
        judged["row_id"][int(i)]: Suspect(
            names[given[i]],
            names[best[i]],
            {
                "given": names[given[i]][:SHOWN_CHARACTERS],
                "suggested": names[best[i]][:SHOWN_CHARACTERS],
                "self_confidence": _rounded(own[i]),
                "confidence": _rounded(likely[i, best[i]]),
                "lift": _rounded(lift[i]),
                "rank": rank,
                "of": len(order),
                "accuracy": _rounded(accuracy),
            },
        )
        for rank, i in enumerate(order, 1)
    }
    return Judgement(found, accuracy, float(shares.max()))


def _rounded(value: np.floating[Any] | float) -> float:
    return round(float(value), DIGITS)


def likelihood(vectors: Vectors, given: NDArray[np.int64], folds: int) -> Likelihood:
    """Out-of-fold probability of each label, rows x labels; rounded, so that no verdict hangs on the last digits.

    given: labels as 0, 1, ...; each at least twice. Folds: rows of a label in the order given, dealt out in turn, so
    that each fold has each label's share.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    by_label = np.argsort(given, kind="stable")
    counts = np.bincount(given)
    fold, rank = np.empty_like(given), np.empty_like(given)
    fold[by_label] = np.arange(len(given)) % folds
    rank[by_label] = np.arange(len(given)) - np.repeat(np.cumsum(counts) - counts, counts)
    # In proportion, but enough of each label that no fold is without it.
    teaches = rank < np.maximum(counts * TRAINING_ROWS / len(given), 2 * folds)[given]
    likely = np.zeros((len(given), len(counts)), dtype=np.float32)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is meant, see ITERATIONS
        for held_out in range(folds):
            learnt, judged = teaches & (fold != held_out), fold == held_out
            model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS).fit(vectors[learnt], given[learnt])
            likely[judged] = model.predict_proba(vectors[judged])
    return np.round(likely, DIGITS, out=likely)


def _values(rows: pl.DataFrame, answer: AnswerSettings) -> dict[str, Any]:
    """{label: the value that stands for it in an answer}: a number stays a number."""
    texts = prompts(rows)["answer"].unique().sort()
    if not answer.label:
        return {text: text for text in texts}
    values = [(parse(text) or {}).get(answer.label) for text in texts]
    return {str(value): value for value in values}


def _relabelled(row: dict[str, Any], value: Any, answer: AnswerSettings) -> dict[str, Any]:
    final = row["messages"][-1]
    text = (
        json.dumps({**(parse(final["content"]) or {}), answer.label: value}, ensure_ascii=False)
        if answer.label
        else value
    )
    return {**row, "messages": [*row["messages"][:-1], {**final, "content": text}]}
