"""The gate: the recipe's rules against the measured intervals. Only `passed` may be registered.

A rule reads the whole interval, never the point in its middle:
    passed      even the low end meets the requirement
    refused     even the high end misses it
    undecided   the requirement lies inside the interval, so these rows cannot tell; the gate says how many might
One refused rule refuses the model; else one undecided rule leaves it undecided. All rules must pass, so that more rules
never make passing easier, and a model that just misses one in truth passes it about once in 40 times (at 95 %).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from tasks.core.errors import RecipeError, nearest
from tasks.core.handle import Handle
from tasks.core.settings import MisfitError, Settings
from tasks.core.text.interval_text import percent
from tasks.core.variants import TUNED
from tasks.core.work import StepDirs, StepResult
from tasks.facts.scores import Difference, Scores
from tasks.facts.verdict import JudgedRule, Verdict, Word
from tasks.metrics.intervals import rows_to_decide

WORST_FIRST: tuple[Word, ...] = ("refused", "undecided", "passed")
BETTER = "better_than_baseline: true"


class Rule(Settings):
    """One thing that must hold of the tuned model: a floor, or being better than every prompted baseline."""

    # What is measured: json_valid, schema_valid, a graded field, all_graded or exact.
    metric: str
    # Where: holdout, edge_cases, or a slice by name. The holdout is what stands for tomorrow's rows.
    slice: str = "holdout"
    # The floor, as a share. 1 is not allowed: no number of rows can prove that a model is never wrong.
    at_least: float | None = Field(default=None, gt=0, lt=1)
    # Better than each baseline on the same rows, by more than the paired interval can explain.
    better_than_baseline: bool = False

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.at_least is None) != self.better_than_baseline:
            both = "both are" if self.better_than_baseline else "neither is"
            raise ValueError(f"give either at_least: 0.9 (say) or {BETTER}; here {both} given for {self.metric!r}")
        return self

    def text(self) -> str:
        """The rule as a sentence's subject: `intent on holdout: at least 90 %`."""
        asks = "better than every prompted baseline" if self.at_least is None else f"at least {self.at_least * 100:g} %"
        return f"{self.metric} on {self.slice}: {asks}"


class GateSettings(Settings):
    """What must hold before a model is registered. There is no default: only its owner knows what is good enough."""

    # For example [{metric: intent, better_than_baseline: true}, {metric: schema_valid, at_least: 0.95}]
    rules: tuple[Rule, ...] = Field(min_length=1)

    def fitted(self, recipe: Any, folder: Path) -> Self:
        known = recipe.answer.all_metrics
        for i, rule in enumerate(self.rules):
            if rule.metric not in known:
                problem = f"{rule.metric!r} is no metric that is measured"
                raise MisfitError(("rules", i, "metric"), problem, got=rule.metric, known=known)
        return self


def gate(place: StepDirs, *, settings: GateSettings, scores: Handle) -> StepResult:
    """Judge the scores by the rules. Raises RecipeError when a rule names what was not measured."""
    measured = Scores.of(scores)
    slices: dict[str, list[str]] = {}
    for m in measured.metrics:
        slices.setdefault(m.slice, []).append(m.metric)
    check_rules(settings, slices)
    judged = [
        _floor(rule, measured) if rule.at_least is not None else _better(rule, measured) for rule in settings.rules
    ]
    verdict = min((rule.verdict for rule in judged), key=WORST_FIRST.index)
    passed = sum(rule.verdict == "passed" for rule in judged)
    line = f"{verdict}: {passed} of {len(judged)} rules hold{'' if verdict == 'passed' else '; nothing is registered'}"
    table = [{"rule": rule.rule, "verdict": rule.verdict, "why": rule.why} for rule in judged]
    return StepResult("verdict", line, Verdict(verdict=verdict, rules=judged).written(), table, len(judged))


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


def _floor(rule: Rule, scores: Scores) -> JudgedRule:
    cell = scores.cell(TUNED, rule.slice, rule.metric)
    value, floor = cell.value, rule.at_least or 0.0
    verdict: Word
    if cell.low >= floor:
        verdict, reason = "passed", "even the low end keeps the floor"
    elif cell.high < floor:
        verdict, reason = "refused", "even the high end is below the floor"
    else:
        needed = rows_to_decide(value, floor, max(floor * (1 - floor), value * (1 - value)), scores.confidence)
        verdict, reason = "undecided", f"the floor lies inside the interval. {_advice(needed, cell.n, value > floor)}"
    told = percent(value, cell.low, cell.high, digits=1)
    return JudgedRule(
        rule=rule.text(),
        metric=rule.metric,
        slice=rule.slice,
        required=floor,
        measured=value,
        low=cell.low,
        high=cell.high,
        n=cell.n,
        verdict=verdict,
        why=f"{cell.right:,} of {cell.n:,} rows right, {told}: {reason}",
    )


def _better(rule: Rule, scores: Scores) -> JudgedRule:
    """Against each baseline; the worst verdict counts, so no choice of baseline can flatter the model."""
    cells = [d for d in scores.differences if (d.metric, d.slice) == (rule.metric, rule.slice)]
    if not cells:
        raise RecipeError(
            f"A gate rule asks for {BETTER}, but no baseline was evaluated.",
            where="recipe: gate.rules",
            allowed="at_least, or a baseline to compare with",
            todo="evaluate a baseline, or give the rule a floor",
        )
    judged = [_against(rule, cell, scores.confidence) for cell in cells]
    return min(judged, key=lambda one: (WORST_FIRST.index(one.verdict), one.low, one.baseline))


def _against(rule: Rule, cell: Difference, confidence: float) -> JudgedRule:
    difference = cell.difference
    verdict: Word
    if cell.low > 0:
        verdict, reason = "passed", "even the low end is above zero"
    elif cell.high < 0:
        verdict, reason = "refused", "even the high end is below zero"
    else:
        needed = rows_to_decide(difference, 0.0, (cell.wins + cell.losses) / cell.n, confidence)
        verdict, reason = "undecided", f"zero lies inside the interval. {_advice(needed, cell.n, difference > 0)}"
    told = percent(difference, cell.low, cell.high, digits=1, sign="+")
    why = (
        f"of {cell.n:,} rows, {cell.wins:,} are right only with {TUNED} and {cell.losses:,} only with {cell.baseline}, "
        f"{told}: {reason}"
    )
    return JudgedRule(
        rule=rule.text(),
        metric=rule.metric,
        slice=rule.slice,
        baseline=cell.baseline,
        required=0.0,
        measured=difference,
        low=cell.low,
        high=cell.high,
        n=cell.n,
        verdict=verdict,
        why=why,
    )


def _advice(needed: int | None, n: int, above: bool) -> str:
    """needed: rows in all that would decide, an estimate for large samples; None when no number would."""
    if needed is None:
        return "What was measured is the requirement itself, so more rows alone would not decide it"
    more, side = max(needed - n, 1), "for" if above else "against"
    step = 10 ** max(len(str(more)) - 1, 1)  # one leading digit, upwards: an estimate should look like one
    about = math.ceil(more / step) * step
    return f"About {about:,} more rows like these would decide it {side} the model, if what was measured held"
