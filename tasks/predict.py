"""Predict: what one variant (a prompted base model, or the tuned one) answers to the holdout and the edge cases, row by row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import polars as pl
from pydantic import Field

from tasks.core.answer import AnswerSettings, label_of
from tasks.core.calls import without_calls
from tasks.core.chat import Message, PromptSettings, expected, question
from tasks.core.generate import load_speaker
from tasks.core.handle import CURATED, Handle
from tasks.core.settings import Settings
from tasks.core.step import Made, Place

PREDICTIONS = "predictions.parquet"


class PredictSettings(Settings):
    """One variant: its name, and how many solved examples stand before each question."""

    variant: Literal["zero_shot", "few_shot", "tuned"]
    # Taken from the training rows, one for each label as far as they go, the shortest first: prompts cost time.
    examples: int = Field(default=0, ge=0, le=64)


def predict(
    place: Place, *, settings: PredictSettings, prompt: PromptSettings, answer: AnswerSettings, base: Handle, dataset: Handle,
    holdout: Handle, edge_cases: Handle | None = None, adapter: Handle | None = None,
) -> Made:  # fmt: skip
    """Answer every row of both sets; leaves predictions.parquet: row_id, set, answer, prompt_tokens, answer_tokens, stopped.

    adapter: None for a prompted base model.
    """
    sets = {"holdout": holdout, **({"edge_cases": edge_cases} if edge_cases else {})}
    rows = pl.concat([handle.frame().with_columns(set=pl.lit(name)) for name, handle in sets.items()], how="diagonal")
    examples = _examples(dataset.frame(CURATED), answer, settings.examples)
    speaker = load_speaker(base.folder / "model", adapter.folder / "adapter" if adapter else None, prompt, examples)
    started = time.monotonic()
    answers = speaker.answer(
        [question(messages) for messages in rows["messages"]],
        lambda share: place.progress(share, f"{settings.variant}: {share * rows.height:.0f} of {rows.height} answered"),
    )
    seconds = time.monotonic() - started
    columns = {name: [getattr(a, name) for a in answers] for name in ("prompt_tokens", "answer_tokens", "stopped")}
    frame = rows.select("row_id", "set").with_columns(pl.Series("answer", [a.text for a in answers]), **_series(columns))
    frame.sort("set", "row_id").write_parquet(place.out / PREDICTIONS)
    cut = sum(not a.stopped for a in answers)
    line = f"{rows.height:,} answers in {seconds:.0f} s" + (f", {cut:,} cut at {prompt.max_new_tokens} tokens" if cut else "")
    facts = {"variant": settings.variant, "cut": cut, "system": prompt.system}
    return Made("predictions", line, facts, rows=rows.height, told={"seconds": seconds})


def _series(columns: dict[str, list[int]]) -> dict[str, pl.Series]:
    return {name: pl.Series(name, values) for name, values in columns.items()}


def _examples(rows: pl.DataFrame, answer: AnswerSettings, count: int) -> list[Message]:
    """`count` training rows as turns: the shortest row of each label in turn, labels in alphabetical order."""
    if not count:
        return []
    by_label: dict[str, list[Sequence[Message]]] = {}
    for messages in without_calls(rows).filter(pl.col("split") == "train").sort("row_id")["messages"]:
        by_label.setdefault(label_of(expected(messages), answer) or "", []).append(messages)
    ranked = {label: sorted(group, key=_length) for label, group in sorted(by_label.items())}
    rounds = [group[i] for i in range(max(map(len, ranked.values()))) for group in ranked.values() if i < len(group)]
    return [m for messages in rounds[:count] for m in messages if m["role"] != "system"]


def _length(messages: Sequence[Message]) -> int:
    return sum(len(m["content"]) for m in messages)
