"""The seam of gate rules: a file and a line in the catalog are all that a new rule takes."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError

from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, digest_path
from tasks.core.process.progress import Progress
from tasks.core.work import StepDirs
from tasks.evaluation import gate as real
from tasks.evaluation.gate_rules import catalog

FILE = '''
"""`loses_at_most: 5`: so few rows may be right only with the best baseline."""

from pydantic import Field

from tasks.facts.verdict import JudgedRule


class LosesAtMost:
    key = "loses_at_most"
    example = "loses_at_most: 5"
    field = (int | None, Field(default=None, ge=0))

    def misfit(self, value, metric):
        return "counts no numbers" if metric.is_number else ""

    def text(self, value, metric):
        return f"loses at most {value} rows"

    def judge(self, subject, value, scores, text):
        (cell,) = (d for d in scores.differences if (d.metric, d.slice) == (subject.metric, subject.slice))
        verdict = "passed" if cell.losses <= value else "refused"
        return JudgedRule(
            rule=text, metric=subject.metric, slice=subject.slice, baseline=cell.baseline, required=value,
            measured=cell.losses, low=cell.low, high=cell.high, n=cell.n, verdict=verdict, why=f"{cell.losses} lost",
        )


RULE = LosesAtMost()
'''


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The gate as it is once the rule's line stands in the catalog."""
    file = tmp_path / "rule_of_a_test"
    file.write_text(FILE)
    loader = importlib.machinery.SourceFileLoader("rule_of_a_test", str(file))
    spec = importlib.util.spec_from_loader("rule_of_a_test", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "RULES", (*catalog.RULES, module.RULE))
        yield importlib.reload(real)
    importlib.reload(real)


def scores(home: Path) -> Handle:
    cell = {"slice": "holdout", "metric": "intent", "n": 100, "low": 0.7, "high": 0.9}
    facts = {
        "variants": ["few_shot", "tuned"],
        "best_baseline": "few_shot",
        "headline": "intent",
        "confidence": 0.95,
        "metrics": [{"variant": "tuned", **cell, "right": 80, "value": 0.8}],
        "differences": [{"baseline": "few_shot", **cell, "wins": 40, "losses": 7, "difference": 0.33}],
    }
    folder = home / "artifacts" / "scores"
    folder.mkdir(parents=True)
    (folder / FACTS).write_text(json.dumps(facts))
    (folder / TOLD).write_text("{}")
    return Handle.of(folder, step="evaluate", kind="scores", digest=digest_path(folder))


def test_a_rule_in_a_file_of_its_own_is_read_judged_and_told(gate: ModuleType, home: Path) -> None:
    asked = [{"metric": "intent", "loses_at_most": 5}, {"metric": "intent", "at_least": 0.6}]
    settings = gate.GateSettings.model_validate({"rules": asked})
    made = gate.gate(StepDirs(home, home, Progress("gate")), settings=settings, scores=scores(home))
    assert made.line == "refused: 1 of 2 rules hold; nothing is registered"
    assert made.table[0] == {"rule": "intent on holdout: loses at most 5 rows", "verdict": "refused", "why": "7 lost"}


def test_its_key_is_named_where_none_or_several_are_given(gate: ModuleType) -> None:
    for wrong in ({}, {"loses_at_most": 5, "at_least": 0.6}):
        with pytest.raises(ValidationError, match="or loses_at_most: 5"):
            gate.GateSettings.model_validate({"rules": [{"metric": "intent", **wrong}]})
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        gate.GateSettings.model_validate({"rules": [{"metric": "intent", "loses_at_most": -1}]})


def test_without_its_line_the_key_is_unknown() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        real.GateSettings.model_validate({"rules": [{"metric": "intent", "loses_at_most": 5}]})
