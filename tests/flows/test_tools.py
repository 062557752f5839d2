"""A run whose rows have tools, from OpenAI's JSONL to the registered version: judged by its calls, and served with
them.

One run of the real flow on a tiny model, which learns in seconds when to call which of two tools, and with what.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from tasks.core.handle import FACTS, LEDGER
from tasks.registry import mlflow_client
from tasks.registry.loaded_version import LoadedVersion
from tasks.registry.versions import CHALLENGER, download
from tests.support import chat_templates
from tests.support.command import Ended, Work
from tests.support.little_recipe import ASKED, THINGS, ask, write_lines
from tests.support.tiny_model import tiny_model

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(600)]
NAME, WHEN = "tools", ("on Monday", "last week", "in May")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": label,
            "parameters": {"type": "object", "required": ["when"], "properties": {"when": {"enum": list(WHEN)}}},
        },
    }
    for label in ASKED
]


def called(label: str, thing: str, when: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """A question, and as its answer the call that it wants."""
    function = {"name": label, "arguments": json.dumps(arguments or {"when": when})}
    call = {"id": f"c-{thing}", "type": "function", "function": function}
    made = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"messages": [{"role": "user", "content": ask(label, thing, when)}, made], "tools": TOOLS}


def said(text: str) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": f"Thanks for the {text}!"},
        {"role": "assistant", "content": "You are welcome."},
    ]
    return {"messages": turns, "tools": TOOLS}


def tool_recipe(folder: Path) -> Path:
    pairs = [(thing, when) for (i, thing), (j, when) in product(enumerate(THINGS), enumerate(WHEN)) if (i + j) % 3]
    rows = [called(label, *pair) for label, pair in product(ASKED, pairs)] + [said(thing) for thing in THINGS[::2]]
    broken = called("order", "tub", "", {"when": "some day"})
    answered = called("order", "sofa", "last week")
    answered["messages"] += [
        {"role": "tool", "tool_call_id": "c-sofa", "content": "sent"},
        {"role": "assistant", "content": "It was sent."},
    ]
    folder.mkdir()
    write_lines(folder / "raw.jsonl", [*rows, broken, answered])
    # In words that it has seen, put together anew.
    others = [pair for pair in product(THINGS, WHEN) if pair not in pairs]
    held_out = [called(label, *pair) for label, pair in product(ASKED, others)]
    write_lines(folder / "holdout.jsonl", [*held_out, *map(said, THINGS[1::2])])
    tiny_model(folder / "model", [json.dumps(row) for row in rows])
    plan = {
        "name": NAME,
        "base_model": {"source": "model"},
        "contract": "sft",
        "data": {"train": ["raw.jsonl"], "holdout": ["holdout.jsonl"]},
        "prompt": {"chat_template": chat_templates.HERMES, "max_new_tokens": 40},
        "evaluate": {"few_shot": 2},
        "train": {
            "threads": 1,
            "epochs": 8,
            "batch_rows": 4,
            "learning_rate": 0.02,
            "validations_per_epoch": 1,
            "patience": 100,
        },
        "gate": {
            "rules": [{"metric": "call_schema", "at_least": 0.3}, {"metric": "call_due", "better_than_baseline": True}]
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(plan))
    return folder / "recipe.yaml"


@dataclass(frozen=True)
class Done:
    """A run as it ended, its home folder, and the version as downloaded from the registry."""

    ended: Ended
    home: Path
    version: Path

    def made(self, step: str) -> Path:
        (folder,) = (self.home / "artifacts" / step).glob("*")
        return folder

    def facts(self, step: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.made(step) / FACTS).read_text())
        return told


@pytest.fixture(scope="module")
def done(work: Work, prefect_server: str) -> Iterator[Done]:
    ended = work.run("run", tool_recipe(work.folder / "desk"), PREFECT_API_URL=prefect_server)
    assert ended.code == 0, ended.out + ended.err
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(work.home))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{work.home / 'mlflow.db'}")
        version = mlflow_client.client().get_model_version_by_alias(NAME, CHALLENGER)
        yield Done(ended, work.home, download(version, work.folder / "model"))


def test_the_run_is_judged_by_calls_and_registered(done: Done) -> None:
    scores = done.facts("evaluate")
    assert scores["headline"] == "call_arguments"
    sizes = {m["metric"]: m["n"] for m in scores["metrics"] if m["variant"] == "tuned"}
    assert sizes == {"call_due": 30, "call_schema": 24, "call_name": 24, "call_arguments": 24, "exact": 30}
    assert done.facts("register")["checked_answers"] == 8


def test_a_row_whose_call_breaks_its_tool_is_held_back_with_the_rule(done: Done) -> None:
    held = pl.read_parquet(done.made("account") / LEDGER).filter(pl.col("action").cast(pl.String) == "quarantined")
    assert held["reason"].to_list() == ["tool call breaks its tool's schema"]
    assert json.loads(held["evidence"][0])["rule"].startswith("order: when: 'some day' is not one of ['on Monday'")


def test_what_is_served_is_what_was_evaluated(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(done.home))  # where its base model lies
    graded = pl.read_parquet(done.made("evaluate") / "graded.parquet").filter(variant="tuned").sort("row_id")
    questions = [[{"role": "user", "content": text}] for text in graded["question"]]
    with LoadedVersion(done.version) as version:
        served = version.answers(questions, [TOOLS] * len(questions))
    assert [one.as_text for one in served] == graded["answer"].to_list()
    assert any(one.calls for one in served)


def test_tools_and_earlier_calls_are_taken_in_a_request_and_what_is_malformed_is_refused(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import pyfunc
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("ASSAY_HOME", str(done.home))
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow leaves the version's code in it
    model = pyfunc.load_model(str(done.version))
    turns = called("order", "lamp", "last week")["messages"]
    asked = [*turns, {"role": "tool", "tool_call_id": "c-lamp", "content": "sent"}]
    told = model.predict([{"messages": asked, "tools": TOOLS}])
    assert list(told.columns) == ["answer", "tool_calls"]
    assert list(model.predict([{"message": "Thanks!"}]).columns) == ["answer"]
    with pytest.raises(MlflowException, match="a tool's answer to no call before it"):
        model.predict([{"messages": asked[2:], "tools": TOOLS}])
    with pytest.raises(MlflowException, match="no list of functions with a name"):
        model.predict([{"message": "Thanks!", "tools": [{"type": "function"}]}])


def test_the_report_says_how_calls_were_judged(done: Done) -> None:
    page = (done.made("report") / "report.html").read_text()
    for told in ("tool called when due, and only then", "right tool and arguments", "24"):
        assert told in page
