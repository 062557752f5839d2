"""retrain: raw exports in; a proven adapter in the model registry out, as challenger, or a refusal that says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.curate import Curated, Results, curated
from flows.overrides import Overrides
from flows.promote import promote
from flows.recipe import Recipe
from flows.run.final_states import ends_in_words, verdict_state
from flows.run.lock import one_run_per_model
from flows.run.outcome_page import publish_outcome
from flows.run.parameters import (
    DEFAULT,
    EPOCHS,
    MINUTES,
    RATE,
    ROWS,
    SEED,
    Assignments,
    Epochs,
    LearningRate,
    Minutes,
    RecipeName,
    RecipePath,
    Rows,
    Seed,
    recipe_from_form,
)
from tasks.core.action import act_patiently
from tasks.core.errors import AssayError
from tasks.core.handle import Handle
from tasks.core.process import terminal
from tasks.core.step import work_step
from tasks.core.variants import CLASSICAL, TUNED
from tasks.evaluation.ask_champion import ask_champion
from tasks.evaluation.check_gate import check_gate
from tasks.evaluation.check_prompts import CheckPromptsSettings, check_prompts
from tasks.evaluation.classify import ClassifySettings, classify
from tasks.evaluation.evaluate import SETS, evaluate, measured_in
from tasks.evaluation.gate import check_rules, gate
from tasks.evaluation.predict import PredictSettings, predict
from tasks.evaluation.report import report
from tasks.facts.prompts import PromptFacts
from tasks.facts.scores import ComparedChampion
from tasks.facts.verdict import Verdict
from tasks.facts.version import VersionFacts
from tasks.model.chat_template import PromptSettings
from tasks.registry import mlflow_client
from tasks.registry.compared_champion import find_compared
from tasks.registry.packaging import is_described
from tasks.registry.unit import Unit
from tasks.release.register import Proof, RecipeText, RecordedAnswers, UnitParts, is_challenger, register
from tasks.training.train import train


@flow(name="retrain", persist_result=False)
@ends_in_words
def retrain(
    recipe: RecipeName = DEFAULT,
    recipe_path: RecipePath = "",
    rows: Rows = 0,
    epochs: Epochs = 0,
    learning_rate: LearningRate = 0.0,
    seed: Seed = 0,
    minutes: Minutes = 0,
    settings: Assignments = (),
) -> State[Results]:
    """Curate, train, evaluate, pass the gate, register, report. A model that does not pass is
    refused, not registered.
    """
    asked: Overrides = {ROWS: rows, EPOCHS: epochs, RATE: learning_rate, SEED: seed, MINUTES: minutes}
    plan = recipe_from_form(recipe, recipe_path, asked, settings)
    plan.check_trainable()
    mlflow_client.check_access()
    with one_run_per_model(plan.name):
        return retrained(plan)


def retrained(plan: Recipe) -> State[Results]:
    """The three parts of a run. Each can be had without those after it: whoever only compares models registers none."""
    data = curated(plan)
    return released(plan, data, evaluated(plan, data))


@dataclass(frozen=True)
class Evaluated:
    """A trained model and what it is worth. answers: its own, which a registered version must give again."""

    adapter: Handle
    answers: Handle
    scores: Handle
    verdict: Handle


def evaluated(plan: Recipe, data: Curated) -> Evaluated:
    """The second part of a run: train, measure beside the baselines and the champion, judge by the gate. Registers
    nothing.
    """
    sets = {name: data.heldout[name] for name in SETS if name in data.heldout}
    helped = check_heldout(plan, data, sets)
    adapter = work_step(train, plan.train, prompt=plan.prompt, base=data.base, dataset=data.dataset)
    answers = predicted(plan, data, adapter, helped)
    champion, its = champion_answers(plan, data, adapter)
    asked: Any = {name: data.heldout.get(name) for name in SETS}
    given = [*without_model(plan, data), *answers[:-1], *its, answers[-1]]
    scores = work_step(evaluate, plan.evaluate, answer=plan.answer, predictions=given, champion=champion, **asked)
    return Evaluated(adapter, answers[-1], scores, work_step(gate, plan.gate, scores=scores))


def released(plan: Recipe, data: Curated, model: Evaluated) -> State[Results]:
    """The last part of a run: register what passed, report, follow the gate, tell the outcome."""
    judged = {"scores": model.scores, "verdict": model.verdict}
    proof = {"base": data.base, "dataset": data.dataset, "contract": data.contract, **judged}
    version = registered(plan, data, model)
    seen: Any = {
        "model": plan.name,
        "training": model.adapter,
        "version": version,
        "advice": data.advice,
        "review": data.review,
    }
    steps = list(data.steps)
    asked = {"asked": data.heldout["holdout"], "compared": data.compared["holdout"]}
    page = work_step(report, plan.report, steps=steps, prompt=plan.prompt, answer=plan.answer, **seen, **proof, **asked)
    promoted = follow_gate(plan, version)
    publish_outcome(plan.name, page, version, steps, data.contract, promoted)
    made = {**proof, "review": data.review, "training": model.adapter, "report": page, "version": version}
    return finished({name: handle for name, handle in made.items() if handle}, promoted)


def check_heldout(plan: Recipe, data: Curated, sets: Results) -> PromptSettings:
    """Raise what would stop a run after hours of training, or let it end in vain: a rule that names nothing or that no
    model could pass, a row that cannot be answered. Returns the prompt of the baselines.
    """
    frames = {name: rows.frame() for name, rows in sets.items()}
    check_rules(plan.gate, measured_in(frames, plan.answer))
    asked: Any = {"dataset": data.dataset, **{name: sets.get(name) for name in SETS}}
    work_step(check_gate, plan.gate, answer=plan.answer, evaluation=plan.evaluate, **asked)
    settings = CheckPromptsSettings(few_shot=plan.evaluate.few_shot, prompted_system=plan.evaluate.prompted_system)
    given = {"prompt": plan.prompt, "answer": plan.answer, "base": data.base, "kind": plan.rows_are, **asked}
    checked = work_step(check_prompts, settings, **given)
    return plan.prompt.model_copy(update={"system": PromptFacts.of(checked).system})


def predicted(plan: Recipe, data: Curated, adapter: Handle, helped: PromptSettings) -> list[Handle]:
    """What each variant answers: the base model prompted with nothing and with examples, and last the tuned one."""
    variants: list[tuple[PredictSettings, PromptSettings, Handle | None]]
    variants = [(PredictSettings(variant="zero_shot"), helped, None)]
    if plan.evaluate.few_shot:
        variants += [(PredictSettings(variant="few_shot", examples=plan.evaluate.few_shot), helped, None)]
    variants += [(PredictSettings(variant=TUNED), plan.prompt, adapter)]
    given = {"base": data.base, "dataset": data.dataset, **{name: data.heldout.get(name) for name in SETS}}
    return [
        work_step(predict, settings, settings.variant, prompt=prompt, answer=plan.answer, adapter=tuned, **given)
        for settings, prompt, tuned in variants
    ]


def without_model(plan: Recipe, data: Curated) -> list[Handle]:
    """What can be answered without a language model; nothing where rows have no labels."""
    given: Any = {"dataset": data.dataset, **{name: data.heldout.get(name) for name in SETS}}
    asked = [ClassifySettings(variant=name) for name in CLASSICAL]
    made = [work_step(classify, one, one.variant, answer=plan.answer, kind=plan.rows_are, **given) for one in asked]
    return [handle for handle in made if handle.rows]


def champion_answers(plan: Recipe, data: Curated, adapter: Handle) -> tuple[ComparedChampion | None, list[Handle]]:
    """The version that this model would replace, and what it answers to today's rows, in a list; an empty one where
    there is no champion, or it cannot be asked, which then says why.
    """

    def is_this(unit: Unit) -> bool:
        return is_described(unit, plan.prompt, plan.trained_model, data.base, adapter, data.dataset)

    found = act_patiently("find champion", find_compared, plan.name, is_this)
    if found is None:
        return None, []
    champion = ComparedChampion(name=found.name, version=found.version, unasked=found.unasked)
    asked: Any = {name: data.heldout.get(name) for name in SETS}
    try:
        return champion, [] if found.unasked else [work_step(ask_champion, found, **asked)]
    except AssayError as error:  # no reason to train in vain: the gate says that it could not tell
        terminal.note(f"The champion, {champion.title}, could not be asked. {error.render()}")
        return champion.model_copy(update={"unasked": error.what.splitlines()[0].rstrip(".")}), []


def registered(plan: Recipe, data: Curated, model: Evaluated) -> Handle | None:
    """The model version, or None when the gate did not pass."""
    if Verdict.of(model.verdict).verdict != "passed":
        return None
    return work_step(
        register,
        plan.register,
        "register",
        is_challenger,
        recipe=RecipeText(name=plan.name, yaml=plan.text),
        parts=UnitParts(plan.prompt, plan.trained_model, data.base, model.adapter),
        proof=Proof(data.contract, data.dataset, model.scores, model.verdict),
        answers=RecordedAnswers(data.heldout["holdout"], model.answers),
        personal=plan.redact,
    )


def follow_gate(plan: Recipe, version: Handle | None) -> str:
    """Promote it in a run of its own where the recipe follows its gate; what became of that in a sentence, else
    nothing.
    """
    if version is None or plan.promote.approval != "gate":
        return ""
    told: Any = promote(plan.name, VersionFacts.of(version).version, reason="follows the gate")
    terminal.note(told["line"])
    return str(told["line"])


def finished(results: Results, promoted: str) -> State[Results]:
    """The flow's final state, in the gate's words. A refusal is no crash."""
    return verdict_state(Verdict.of(results["verdict"]).verdict, results["report"].line, results, promoted)
