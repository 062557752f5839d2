"""The closing lines say what happened, from the facts alone, and can be copied whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import summary
from flows.servers import environment
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD, commit, new_artifact
from tasks.core.process import terminal

LONG = "filter: answer is <b>[red]not[/red]</b> the object that the schema asks for"
RULE = {
    "rule": "intent on holdout: at least 85 %",
    "metric": "intent",
    "slice": "holdout",
    "required": 0.85,
    "measured": 0.9,
    "low": 0.86,
    "high": 0.94,
    "n": 156,
}
GIVEN: dict[str, dict[str, Any]] = {
    "dataset": {
        "raw": 2031,
        "kept": 1400,
        "dropped": 600,
        "quarantined": 31,
        "reasons": {
            "dropped": {LONG: 590, **{f"dedupe: reason {n}": 1 for n in range(10)}},
            "quarantined": {"ingest: no JSON": 31},
        },
    },
    "scores": {
        "variants": ["zero_shot", "few_shot", "tuned"],
        "best_baseline": "few_shot",
        "headline": "intent",
        "confidence": 0.95,
        "metrics": [
            {
                "variant": v,
                "slice": s,
                "metric": "intent",
                "right": round(156 * x),
                "n": 156,
                "value": x,
                "low": x - 0.05,
                "high": x + 0.05,
            }
            for v, x in (("zero_shot", 0.1), ("few_shot", 0.2), ("tuned", 0.9))
            for s in ("holdout", "short")
        ],
        "differences": [
            {
                "baseline": b,
                "slice": "holdout",
                "metric": "intent",
                "wins": 120,
                "losses": 3,
                "n": 156,
                "difference": 0.9 - x,
                "low": 0.6,
                "high": 0.85,
            }
            for b, x in (("zero_shot", 0.1), ("few_shot", 0.2))
        ],
    },
    "verdict": {"verdict": "passed", "rules": [{**RULE, "verdict": "passed", "why": ""}]},
    "version": {
        "name": "support-triage",
        "version": 1,
        "alias": "challenger",
        "unit_digest": "0" * 64,
        "checked_answers": 8,
        "unit": {},
    },
    "report": {},
}


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", environment.mlflow_database())
    monkeypatch.setattr(terminal, "computed", ["train"])
    monkeypatch.setenv("COLUMNS", "60")  # a narrow terminal, where a wrapped command could not be copied


def artifact(name: str, facts: dict[str, Any]) -> Handle:
    with new_artifact(name) as out:
        (out / FACTS).write_text(json.dumps(facts))
        (out / TOLD).write_text("{}")
        final, digest = commit(out, name)
    return Handle.of(final, step=name, kind=name, digest=digest)


def told(capsys: pytest.CaptureFixture[str], state: str = "Completed", **changed: Any) -> str:
    facts = {**GIVEN, **changed}
    summary.print_summary({name: artifact(name, facts[name]) for name in facts if facts[name] is not None}, state, 12.3)
    return capsys.readouterr().out


def test_a_run_tells_rows_reasons_scores_gate_model_report_and_the_next_commands(home: Path, capsys: Any) -> None:
    out = told(capsys)
    assert "2,031 in: 1,400 kept, 600 dropped, 31 quarantined" in out
    assert f"590  {LONG}\n" in out, "a reason is shown as it is, markup and all, in one line"
    assert "3  3 more reasons" in out
    assert "20 % [15, 25]" in out, "the best baseline, not the other"
    assert "10 % [5, 15]" not in out
    assert "90 % [85, 95]" in out
    assert "+70 points [+60, +85]" in out
    assert "passed: 1 of 1 rules hold" in out
    assert "support-triage, version 1, alias challenger" in out
    assert str(artifact("report", {}).folder / "report.html") in out
    serve = next(line for line in out.splitlines() if "models serve" in line)
    assert f"MLFLOW_TRACKING_URI=sqlite:///{home / 'mlflow.db'} mlflow " in serve
    assert f" ASSAY_HOME={home} " in serve  # where the base model lies
    assert serve.endswith("models serve -m models:/support-triage@challenger --env-manager local -p 5001")
    assert "nothing changed" not in out


def test_a_refused_run_says_which_rule_and_why_and_offers_no_serving(capsys: Any) -> None:
    rule = {**RULE, "rule": "intent on short: at least 60 %", "verdict": "refused", "why": "3 of 35 rows right"}
    out = told(capsys, "Refused", version=None, verdict={"verdict": "refused", "rules": [rule]})
    assert "refused: intent on short: at least 60 %: 3 of 35 rows right" in out
    assert "not registered, for the gate's verdict is refused" in out
    assert "serve" not in out


def test_a_run_that_came_from_the_cache_says_that_nothing_changed(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(terminal, "computed", [])
    assert "12.3 s; nothing changed: nothing was trained, nothing was registered" in told(capsys)


def test_a_curated_dataset_is_told_with_the_paths_of_its_tables_and_what_review_would_take(capsys: Any) -> None:
    told = {"decided": {}, "reasons": [], "order": "", "words_per_minute": 240, "seconds_to_decide": 6}
    left = {"rows": 1_234, "cases": 900, "minutes": 95.4, "shown": 1_234, **told}
    dataset, sheet = artifact("dataset", GIVEN["dataset"]), artifact("review", left)
    summary.print_curated({"dataset": dataset, "review": sheet}, ["ours", "--set", "select.rows=9"], True, 3.0)
    out = capsys.readouterr().out
    for name in ("curated", "ledger", "quarantine"):
        assert str(dataset.folder / f"{name}.parquet") in out
    assert str(sheet.folder / "review.csv") in out
    assert "1,234 rows, about 95 minutes" in out
    assert "run ours --set select.rows=9" in out
    summary.print_curated({"dataset": dataset, "review": sheet}, ["ours"], False, 3.0)
    assert "export ours --format trl" in capsys.readouterr().out  # a run would refuse pairs


def test_the_serving_command_can_be_typed_in_a_shell_that_knows_nothing_of_this_environment(
    capsys: Any, monkeypatch: Any
) -> None:
    # Whatever the shell knows in which the run was started.
    serve = next(line for line in told(capsys).splitlines() if "models serve" in line)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    tried = serve.strip().replace("mlflow models serve", "command -v mlflow uvicorn #")
    found = subprocess.run(["bash", "-c", tried], capture_output=True, text=True).stdout.split()
    assert found == [str(Path(sys.executable).parent / name) for name in ("mlflow", "uvicorn")]
