"""Classify: what no language model is needed for: always the commonest label, and a classifier of words.

A tuned model that is no better than these is not worth its cost, and a prompted base model alone does not tell: on spam
and on intents of bank customers logistic regression was right as often as a tuned model. Both learn from the rows that
the model is tuned on, and their guesses are written as answers, so that every metric judges them as it judges a model.

Of answers with a schema each graded field is guessed, and the answer is the shortest training answer of that label with
the guesses put in; of others the answer is the label. The classifier is logistic regression on TF-IDF of words and runs
of letters (tasks/similarity/tfidf_vectors.py).
"""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from tasks.core.handle import CURATED, Handle
from tasks.core.row import CANONICAL, without_calls
from tasks.core.row_kind import RowKind
from tasks.core.settings import Settings
from tasks.core.variants import LOGISTIC, Variant
from tasks.core.work import StepDirs, StepResult
from tasks.facts.predictions import PREDICTIONS, PredictionFacts
from tasks.metrics.answer_schema import AnswerSettings, parse
from tasks.relations.labels import labelled
from tasks.relations.prompts import prompts
from tasks.similarity.tfidf_vectors import CHARACTERS, one_thread, tfidf_weights

TRAINING_ROWS = (
    20_000  # that it learns from at most: 10,000 of 77 labels took 37 s on two busy cores; a fair draw by row_id
)
# Values of a field beyond which it is no class, and its commonest value is the guess: a column of weights stands for
# each.
MOST_VALUES = 200
STRENGTH = 5.0  # C of the regression, as label_errors has it; 1, 5 and 20 gave 83, 85 and 83 % on the example
ITERATIONS = 100  # of L-BFGS, the library's default


class ClassifySettings(Settings):
    """Which of the baselines that need no language model."""

    variant: Variant


def classify(
    place: StepDirs,
    *,
    settings: ClassifySettings,
    answer: AnswerSettings,
    kind: RowKind,
    dataset: Handle,
    holdout: Handle,
    edge_cases: Handle | None = None,
) -> StepResult:
    """Leaves predictions.parquet as `predict` does, without the counts of tokens; no row of it where rows have no
    labels.
    """
    sets = {"holdout": holdout, **({"edge_cases": edge_cases} if edge_cases else {})}
    parts = [_asked(handle.frame()).with_columns(set=pl.lit(name)) for name, handle in sets.items()]
    asked, started = pl.concat(parts), time.monotonic()
    learnt = training_answers(dataset.frame(CURATED), answer, kind)
    answers = _answers(settings.variant, learnt, asked["prompt"].to_list(), fields_of(answer))
    rows = asked.head(len(answers)).select("row_id", "set")
    told = rows.with_columns(pl.Series("answer", answers, pl.String), calls=pl.lit(None, pl.String))
    told.sort("set", "row_id").write_parquet(place.out / PREDICTIONS)
    seconds = time.monotonic() - started
    line = f"{len(answers):,} answers of what {learnt.height:,} rows teach, in {seconds:.0f} s"
    facts = PredictionFacts(variant=settings.variant)
    said = line if answers else "rows have no labels, so there is nothing to classify"
    return StepResult("predictions", said, facts.written(), rows=len(answers), told={"seconds": seconds})


def _asked(rows: pl.DataFrame) -> pl.DataFrame:
    return prompts(rows).select("row_id", "prompt")


def fields_of(answer: AnswerSettings) -> tuple[str, ...]:
    """The fields of an answer that are classes: its label first, then what is graded."""
    named = dict.fromkeys((answer.label, *answer.graded)) if answer.json_schema else {}
    return tuple(filter(None, named))


def training_answers(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> pl.DataFrame:
    """row_id, prompt, answer of the training rows that a classifier can learn labels from, sorted by row_id."""
    train = without_calls(rows.filter(pl.col("split") == "train"))
    found = labelled(train, answer, kind).drop_nulls("label") if not answer.graded else prompts(train)
    if fields_of(answer):
        found = found.filter(pl.Series([parse(text) is not None for text in found["answer"]], dtype=pl.Boolean))
    return found.select("row_id", "prompt", "answer").sort("row_id").head(TRAINING_ROWS)


def _answers(variant: Variant, learnt: pl.DataFrame, asked: list[str], fields: tuple[str, ...]) -> list[str]:
    """An answer to each text that is asked; none where there is nothing to learn from."""
    if learnt.is_empty():
        return []
    texts, answers = learnt["prompt"].to_list(), learnt["answer"].to_list()
    targets = [_values(answers, name) for name in fields] or [answers]
    if variant == LOGISTIC:
        guessed = [_classified(texts, values, asked) for values in targets]
    else:
        guessed = [[_commonest(values)] * len(asked) for values in targets]
    if not fields:
        return guessed[0]
    shortest = _shortest(answers, targets[0])
    return [_written(shortest[guess[0]], fields, guess) for guess in zip(*guessed, strict=True)]


def _values(answers: list[str], field: str) -> list[str]:
    """The field's value in each answer, as JSON; empty where the answer leaves it out."""
    parsed = (parse(text) or {} for text in answers)
    return [CANONICAL.encode(one[field]) if field in one else "" for one in parsed]


def _shortest(answers: list[str], labels: list[str]) -> dict[str, str]:
    """The shortest answer of each label, of equals the first in the alphabet."""
    ranked = sorted(zip(labels, answers, strict=True), key=lambda pair: (len(pair[1]), pair[1]), reverse=True)
    return dict(ranked)  # the last one counts


def _written(template: str, fields: tuple[str, ...], guess: tuple[str, ...]) -> str:
    """The answer of `template` with a guess for each field."""
    value: dict[str, Any] = parse(template) or {}
    value |= {name: json.loads(text) for name, text in zip(fields, guess, strict=True) if text}
    gone = {name for name, text in zip(fields, guess, strict=True) if not text}
    return json.dumps({key: one for key, one in value.items() if key not in gone}, ensure_ascii=False)


def _commonest(values: Sequence[str]) -> str:
    """The first in the alphabet of equals."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def _classified(texts: list[str], values: Sequence[str], asked: list[str]) -> list[str]:
    """The likeliest value for each text that is asked."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    cut, wanted = ([text[:CHARACTERS] for text in some] for some in (texts, asked))
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is then as good as it gets
        weigh = tfidf_weights(cut)
        if weigh is None or not 1 < len(set(values)) <= min(MOST_VALUES, len(values) / 2):
            return [_commonest(values)] * len(asked)
        model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS).fit(weigh(cut), list(values))
        return [str(value) for value in model.predict(weigh(wanted))]
