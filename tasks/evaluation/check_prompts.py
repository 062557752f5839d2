"""Check prompts: before anything is trained, that every variant can be asked the held-out rows."""

from __future__ import annotations

from pydantic import Field

from tasks.core.errors import DataError
from tasks.core.handle import CURATED, Handle
from tasks.core.settings import Settings
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation.predict import solved_examples
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
) -> StepResult:
    """Render what will be asked: of the tuned model, of the prompted one, and of the one with examples. Raises
    DataError.
    """
    sets = {"holdout": holdout.frame(), **({"edge_cases": edge_cases.frame()} if edge_cases else {})}
    check_answerable(sets, base, prompt)
    helped = prompt.model_copy(update={"system": settings.prompted_system or prompt.system})
    try:
        if helped != prompt:
            check_answerable(sets, base, helped)
        examples = solved_examples(dataset.frame(CURATED), answer, settings.few_shot, base, helped, sets)
        check_examples([turn for said in examples for turn in said], sets, base, helped)
    except DataError as error:
        raise DataError(
            f"A prompted baseline cannot be asked: {error.what}",
            where=f"recipe: evaluate; {error.where}",
            allowed=error.allowed,
            todo=f"set evaluate.few_shot to 0 or change evaluate.prompted_system, or {error.todo}",
        ) from error
    rows = sum(frame.height for frame in sets.values())
    return StepResult("prompts", f"{rows:,} questions can be asked, with up to {len(examples)} examples", {}, rows=rows)
