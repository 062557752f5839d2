"""What the page of a run tells of its end: the rows step by step, and links that a browser can open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.run.final_states import in_markdown, stopped, verdict_state
from flows.run.outcome_page import waterfall
from tasks.core.errors import AssayError, ContractError, DataError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD
from tasks.registry import mlflow_client


def step(folder: Path, name: str, kept: int, **counts: dict[str, int]) -> Handle:
    place = folder / name
    place.mkdir()
    (place / FACTS).write_text(json.dumps({"in": 2000, "kept": kept, "counts": counts}))
    (place / TOLD).write_text("{}")
    return Handle(step=name, kind="rows", path=str(place), digest=name)


def test_the_waterfall_names_each_step_that_took_rows_away(tmp_path: Path) -> None:
    steps = [
        step(tmp_path, "ingest", 1990, quarantined={"not JSON": 10}),
        step(tmp_path, "clean", 1990, changed={"html": 70}),
        step(tmp_path, "dedupe", 1500, dropped={"exact": 400, "near": 90}),
    ]
    assert waterfall(steps)[2:] == ["| ingest | 1,990 |  | 10 |", "| dedupe | 1,500 | 490 |  |"]


@pytest.mark.parametrize(
    ("settings", "pages"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}, ""),
        ({"MLFLOW_TRACKING_URI": "http://ann:secret@mlflow:5000/"}, "http://mlflow:5000"),
        (
            {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "ASSAY_MLFLOW_PAGES": "https://mlflow.example"},
            "https://mlflow.example",
        ),
    ],
)
def test_links_lead_to_where_a_browser_finds_mlflow(
    settings: dict[str, str], pages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert mlflow_client.pages() == pages


@pytest.mark.parametrize(
    ("error", "name"),
    [(ContractError("40 of 60", todo="mend them"), "Blocked"), (DataError("gone", todo="find it"), "Failed")],
)
def test_a_broken_contract_and_a_failure_are_different_states_and_both_say_what_to_do(
    error: AssayError, name: str
) -> None:
    state = stopped(error)
    assert (state.name, state.type.value) == (name, "FAILED")
    assert "to do:   " in (state.message or "")


@pytest.mark.parametrize(
    ("verdict", "name"), [("passed", "Completed"), ("refused", "Refused"), ("undecided", "Undecided")]
)
def test_each_verdict_is_a_state_of_its_own_and_says_what_to_do(verdict: str, name: str) -> None:
    state: Any = verdict_state(verdict, "It answers.", {}, "")
    assert (state.name, state.type.value) == (name, "COMPLETED")
    assert "To do: " in state.message


def test_an_error_is_paragraphs_and_what_quotes_rows_is_quoted() -> None:
    told = in_markdown(ContractError("It broke.\n  row 1  <b>", where="a/b", allowed="all", todo="mend it"))
    quoted = "```\n  row 1  <b>\n```"
    assert told.split("\n\n") == ["It broke.", quoted, "**To do:** mend it", "**Where:** `a/b`", "**Allowed:** all"]
