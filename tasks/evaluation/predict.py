"""Predict: what one variant (a prompted base model, or the tuned one) answers to the holdout and the edge cases, row by
row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.handle import CURATED, Handle
from tasks.core.row import as_message, name_of, tools_of, turns
from tasks.core.settings import Settings
from tasks.core.variants import Variant
from tasks.core.work import StepDirs, StepResult
from tasks.facts.base_model import ModelFacts
from tasks.facts.predictions import PREDICTIONS, PredictionFacts
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.model.chat_template import Message, PromptSettings, expected, prompt_ids, question
from tasks.model.generation import Generator, load_generator
from tasks.model.loading import load_tokenizer


class PredictSettings(Settings):
    """One variant: its name, and how many solved examples stand before each question."""

    variant: Variant
    # Taken from the training rows, one for each label as far as they go, the shortest first: prompts cost time.
    examples: int = Field(default=0, ge=0, le=64)


def predict(
    place: StepDirs,
    *,
    settings: PredictSettings,
    prompt: PromptSettings,
    answer: AnswerSettings,
    base: Handle,
    dataset: Handle,
    holdout: Handle,
    edge_cases: Handle | None = None,
    adapter: Handle | None = None,
) -> StepResult:
    """Answer every row of both sets; leaves predictions.parquet: row_id, set, answer, calls, prompt_tokens,
    answer_tokens, stopped.

    adapter: None for a prompted base model. calls: the JSON list of an answer's tool calls; null without any.
    """
    sets = {"holdout": holdout, **({"edge_cases": edge_cases} if edge_cases else {})}
    rows = pl.concat([handle.frame().with_columns(set=pl.lit(name)) for name, handle in sets.items()], how="diagonal")
    asked, tools = (
        [question(turns(row)) for row in rows.iter_rows(named=True)],
        [tools_of(meta) for meta in rows["meta"]],
    )
    model = base.folder / "model"
    examples = solved_examples(dataset.frame(CURATED), answer, settings.examples, base, prompt, {"all": rows})
    speaker = load_generator(model, adapter.folder / "adapter" if adapter else None, prompt)
    used = _give_examples(speaker, examples, asked, tools, ModelFacts.of(base).context)
    started = time.monotonic()
    answers = speaker.answer(
        asked,
        lambda share: place.progress(share, f"{settings.variant}: {share * rows.height:.0f} of {rows.height} answered"),
        tools,
    )
    seconds = time.monotonic() - started
    columns = {name: [getattr(a, name) for a in answers] for name in ("prompt_tokens", "answer_tokens", "stopped")}
    calls = pl.Series("calls", [a.calls for a in answers], pl.String)
    said = rows.select("row_id", "set").with_columns(pl.Series("answer", [a.text for a in answers]), calls)
    frame = said.with_columns(**_series(columns))
    frame.sort("set", "row_id").write_parquet(place.out / PREDICTIONS)
    cut = sum(not a.stopped for a in answers)
    line = f"{rows.height:,} answers in {seconds:.0f} s" + (
        f", {cut:,} cut at {prompt.max_new_tokens} tokens" if cut else ""
    )
    line += f"; {used} of {len(examples)} examples, as the model has no room for more" if used < len(examples) else ""
    facts = PredictionFacts(variant=settings.variant, cut=cut, system=prompt.system)
    return StepResult(
        "predictions", line, facts.written(), rows=rows.height, told={"seconds": seconds, "examples": used}
    )


def _give_examples(
    speaker: Generator,
    examples: Sequence[list[Message]],
    asked: Sequence[list[Message]],
    tools: Sequence[Any],
    context: int | None,
) -> int:
    """Put as many of `examples` before every question as leave room for an answer to the longest, lest the baseline be
    asked what it cannot read; returns how many. context: tokens, None for no limit.
    """
    if not examples:
        return 0
    most = max(range(len(asked)), key=lambda i: len(speaker.prompt_ids(asked[i], tools[i])))
    for used in range(len(examples), 0, -1):
        speaker.examples = [turn for said in examples[:used] for turn in said]
        tokens = len(speaker.prompt_ids(asked[most], tools[most]))
        if context is None or tokens + speaker.prompt.max_new_tokens <= context:
            return used
    speaker.examples = []
    return 0


def _series(columns: dict[str, list[int]]) -> dict[str, pl.Series]:
    return {name: pl.Series(name, values) for name, values in columns.items()}


def solved_examples(
    rows: pl.DataFrame,
    answer: AnswerSettings,
    count: int,
    base: Handle,
    prompt: PromptSettings,
    sets: Mapping[str, pl.DataFrame],
) -> list[list[Message]]:
    """`count` training rows to be shown before each question of these sets, each as turns."""
    if not count:
        return []
    offers = (tools_of(meta) for frame in sets.values() for meta in frame["meta"])
    return _examples(rows, answer, count, _fits(base.folder / "model", prompt, next(filter(None, offers), None)))


def _fits(model: Path, prompt: PromptSettings, tools: list[Any] | None) -> Callable[[list[Message]], bool]:
    """Whether an example with tool calls can stand before a question: never before one without tools."""
    tokenizer = load_tokenizer(model)

    def fits(example: list[Message]) -> bool:
        try:
            return bool(tools and prompt_ids(tokenizer, [*example, {"role": "user", "content": "?"}], prompt, tools))
        except DataError:
            return False

    return fits


def _examples(
    rows: pl.DataFrame, answer: AnswerSettings, count: int, fits: Callable[[list[Message]], bool] = lambda _: False
) -> list[list[Message]]:
    """`count` training rows, each as turns: the shortest row of each label in turn, labels in alphabetical order.

    An answer of tool calls is labelled by them. fits: whether a row with calls may be among them.
    """
    by_label: dict[str, list[list[Message]]] = {}
    for row in rows.filter(pl.col("split") == "train").sort("row_id").iter_rows(named=True) if count else ():
        said = [turn for turn in turns(row) if turn["role"] != "system"]
        by_label.setdefault(_label(said, answer), []).append(said)
    ranked = {label: sorted(group, key=_length) for label, group in sorted(by_label.items())}
    most = max(map(len, ranked.values()), default=0)
    rounds = (group[i] for i in range(most) for group in ranked.values() if i < len(group))
    usable = (said for said in rounds if not any("tool_calls" in turn for turn in said) or fits(said))
    return list(islice(usable, count))


def _label(said: list[Message], answer: AnswerSettings) -> str:
    called = next((turn.get("tool_calls") or () for turn in reversed(said) if turn["role"] == "assistant"), ())
    return ", ".join(map(name_of, called)) or label_of(expected(said), answer) or ""


def _length(messages: Sequence[Message]) -> int:
    return sum(len(as_message(turn)["content"]) for turn in messages)
