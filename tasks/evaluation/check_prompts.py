"""Check prompts: before anything is trained, that every variant can be asked the held-out rows."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.handle import CURATED, Handle
from tasks.core.row_kind import SFT, RowKind
from tasks.core.settings import Settings
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation.named_labels import with_labels
from tasks.evaluation.predict import solved_examples
from tasks.facts.prompts import PromptFacts
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.answerable import check_answerable, check_examples
from tasks.model.chat_template import PromptSettings


class CheckPromptsSettings(Settings):
    """The prompted baselines, as the recipe's section `evaluate` has them."""

    # Solved examples of the few-shot baseline.
    few_shot: int = Field(default=0, ge=0)
    # Their system prompt.
    prompted_system: str = ""


def check_prompts(
    place: StepDirs,
    *,
    settings: CheckPromptsSettings,
    prompt: PromptSettings,
    answer: AnswerSettings,
    base: Handle,
    dataset: Handle,
    holdout: Handle,
    edge_cases: Handle | None = None,
    kind: RowKind = SFT,
) -> StepResult:
    """Render what will be asked: of the tuned model, of the prompted one, and of the one with examples. Facts: the
    system prompt of the prompted ones. Raises DataError.
    """
    rows = dataset.frame(CURATED)
    sets = {"holdout": holdout.frame(), **({"edge_cases": edge_cases.frame()} if edge_cases else {})}
    check_answerable(sets, base, prompt)
    helped = prompt.model_copy(update={"system": settings.prompted_system or prompt.system})
    if not settings.prompted_system:
        helped = _if_it_fits(with_labels(prompt, rows, answer, kind), prompt, sets, base)
    try:
        if settings.prompted_system:
            check_answerable(sets, base, helped)
        examples = solved_examples(rows, answer, settings.few_shot, base, helped, sets)
        check_examples([turn for said in examples for turn in said], sets, base, helped)
    except DataError as error:
        raise DataError(
            f"A prompted baseline cannot be asked: {error.what}",
            where=f"recipe: evaluate; {error.where}",
            allowed=error.allowed,
            todo=f"set evaluate.few_shot to 0 or change evaluate.prompted_system, or {error.todo}",
        ) from error
    asked = sum(frame.height for frame in sets.values())
    line = f"{asked:,} questions can be asked, with up to {len(examples)} examples"
    return StepResult("prompts", line, PromptFacts(system=helped.system).written(), rows=asked)


def _if_it_fits(
    helped: PromptSettings, prompt: PromptSettings, sets: dict[str, pl.DataFrame], base: Handle
) -> PromptSettings:
    """`helped`, or `prompt` where the template takes no system prompt, or the model has no room for a longer one."""
    try:
        if helped != prompt:
            check_answerable(sets, base, helped)
        return helped
    except DataError:
        return prompt
