"""The gate: the recipe's rules against the measured intervals. Only `passed` may be registered.

What may be asked stands in gate_rules, a file a rule. One refused rule refuses the model; else one undecided rule
leaves it undecided. All rules must pass, so that more rules never make passing easier, and a model that just misses one
in truth passes it about once in 40 times (at 95 %).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, create_model, model_validator

from tasks.core.errors import RecipeError, nearest
from tasks.core.handle import Handle
from tasks.core.settings import MisfitError, Settings
from tasks.core.variants import CHAMPION
from tasks.core.work import StepDirs, StepResult
from tasks.evaluation.gate_rules.base import WORST_FIRST, GateRule, Subject
from tasks.evaluation.gate_rules.catalog import RULES
from tasks.evaluation.gate_rules.not_worse_than_champion import RULE
from tasks.facts.scores import Scores
from tasks.facts.verdict import JudgedRule, Verdict
from tasks.metrics.catalog import metrics_of


class OneRule(Subject):
    """One thing that must hold of the tuned model: what is measured, where, and one of the keys of gate_rules."""

    @property
    def given(self) -> list[GateRule]:
        """The rules whose keys are given; one, once the model is valid."""
        return [rule for rule in RULES if getattr(self, rule.key) != type(self).model_fields[rule.key].default]

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if len(self.given) != 1:
            every = " or ".join(rule.example for rule in RULES)
            keys = " and ".join(rule.key for rule in self.given) or "none"
            raise ValueError(f"give either {every}; here {keys} is given for {self.metric!r}")
        return self

    def judge(self, scores: Scores) -> JudgedRule:
        """Judged as a sentence's subject says it: `intent on holdout: at least 90 %`."""
        (rule,) = self.given
        value, metric = getattr(self, rule.key), scores.words_of(self.metric)
        text = f"{self.metric} on {self.slice}: {rule.text(value, metric)}"
        return rule.judge(self, value, scores, text)


def with_keys(rules: Sequence[GateRule]) -> type[OneRule]:
    """The model of a rule in a recipe: a key for each of these."""
    keys: dict[str, Any] = {rule.key: rule.field for rule in rules}
    return create_model("Rule", __base__=OneRule, **keys)


if TYPE_CHECKING:
    Rule = OneRule
else:
    Rule = with_keys(RULES)


class GateSettings(Settings):
    """What must hold before a model is registered. Of rules there is no default: only its owner knows what is good
    enough.
    """

    # For example [{metric: intent, better_than_baseline: true}, {metric: schema_valid, at_least: 0.95}]
    rules: tuple[Rule, ...] = Field(min_length=1)
    # How much lower than the champion's the first metric may be measured on the holdout: of a share that share, of a
    # number that part of the champion's. A rule of every recipe with a champion that has none of its own about it: a
    # worse model must not replace a better one without a word. Two points: one or two rows of a hundred are chance.
    # null: not asked.
    not_worse_than_champion: float | None = Field(default=0.02, ge=0, lt=1, allow_inf_nan=False)

    def fitted(self, recipe: Any, folder: Path) -> Self:
        metrics = {metric.name: metric.words for metric in metrics_of(recipe.answer)}
        for i, rule in enumerate(self.rules):
            if rule.metric not in metrics:
                problem = f"{rule.metric!r} is no metric that is measured"
                raise MisfitError(("rules", i, "metric"), problem, got=rule.metric, known=[*metrics])
            (asked,) = rule.given
            if problem := asked.misfit(getattr(rule, asked.key), metrics[rule.metric]):
                raise MisfitError(("rules", i, asked.key), problem)
        return self


def gate(place: StepDirs, *, settings: GateSettings, scores: Handle) -> StepResult:
    """Judge the scores by the rules. Raises RecipeError when a rule names what was not measured."""
    measured = Scores.of(scores)
    slices: dict[str, list[str]] = {}
    for m in measured.metrics:
        slices.setdefault(m.slice, []).append(m.metric)
    check_rules(settings, slices)
    judged = [rule.judge(measured) for rule in (*settings.rules, *standing_rules(settings, measured))]
    verdict = min((rule.verdict for rule in judged), key=WORST_FIRST.index)
    passed = sum(rule.verdict == "passed" for rule in judged)
    line = f"{verdict}: {passed} of {len(judged)} rules hold{'' if verdict == 'passed' else '; nothing is registered'}"
    table = [{"rule": rule.rule, "verdict": rule.verdict, "why": rule.why} for rule in judged]
    return StepResult("verdict", line, Verdict(verdict=verdict, rules=judged).written(), table, len(judged))


def standing_rules(settings: GateSettings, scores: Scores) -> list[Rule]:
    """The rule about the champion, where there is one and the recipe has none of its own about it."""
    margin = settings.not_worse_than_champion
    if margin is None or scores.champion is None or any(RULE in rule.given for rule in settings.rules):
        return []
    cell = scores.find(CHAMPION, "holdout", scores.headline)
    if cell and cell.is_number:
        margin *= abs(cell.value)
    return [Rule.model_validate({"metric": scores.headline, RULE.key: margin})]


def check_rules(settings: GateSettings, slices: Mapping[str, Collection[str]]) -> None:
    """Raise RecipeError when a rule names a slice that is not among these, or a metric that it does not have.

    slices: the metrics of each. Cheap: ask before training.
    """
    for i, rule in enumerate(settings.rules):
        for key, name, of in (("slice", rule.slice, slices), ("metric", rule.metric, slices.get(rule.slice, ()))):
            known = sorted(of)
            if name not in known:
                raise RecipeError(
                    f"A gate rule names the {key} {name!r}, which is not "
                    f"measured{f' on {rule.slice}' * (key == 'metric')}.",
                    where=f"recipe: gate.rules.{i}.{key}",
                    allowed=", ".join(known),
                    todo=nearest(name, known) or "correct the rule, or add to answer.graded or the data what it needs",
                )
