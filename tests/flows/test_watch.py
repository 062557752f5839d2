"""watch on real parts: a model registered with the rows it learnt from, whose sources then grow in
one way or another.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import flow, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.states import Completed, Crashed, Running

from flows import start_retrain
from flows.curate import curated
from flows.recipe import load_recipe
from flows.retrain import retrain
from flows.run.lock import sign_of_life
from flows.watch import looked, watch
from tasks.core.home import home_folder
from tests.support.little_recipe import THINGS, ask, conversation, little_recipe, spoken, write_lines
from tests.support.registration import Inputs, artifact, measured, predicted, scores_of
from tests.support.tiny_model import tiny_adapter

pytestmark = [pytest.mark.usefixtures("prefect", "one_thread"), pytest.mark.timeout(300)]
NAME = "watched"
TIMES = ("the spring", "May", "the big sale", "2024")
WHEN = [f"{when} {what}" for when, what in product(("late in", "all of", "once in"), TIMES)]
LEARNT, BATCH = 120, 60  # rows
FRENCH = [
    conversation(f"Où est mon colis numéro {n}, commandé chez vous il y a {n} jours ?", "order") for n in range(BATCH)
]
QUIETLY = {"scored_rows": 0, "grown_by": 0.9, "least_rows": 20}  # each test turns on what it is about


def asked() -> list[dict[str, Any]]:
    """Everything there is to ask, shuffled: any part of it is a fair draw from the same."""
    rows = [
        conversation(ask(label, thing, when), label)
        for label, thing, when in product(("order", "refund"), THINGS, WHEN)
    ]
    return random.Random(0).sample(rows, len(rows))


@dataclass(frozen=True)
class Desk:
    """A recipe with its sources, as they are for one test."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / f"{NAME}.yaml"

    def says(self, **keys: Any) -> None:
        self.file.write_text(yaml.safe_dump({**yaml.safe_load(self.file.read_text()), **keys}))

    def adds(self, rows: list[dict[str, Any]]) -> None:
        write_lines(self.folder / "raw" / "week2.jsonl", rows)

    def watch(self, **rule: Any) -> State[Any]:
        self.says(watch={**QUIETLY, **rule})
        run: Any = watch
        state: State[Any] = run(recipe_path=str(self.file), return_state=True)
        return state


@pytest.fixture(scope="module")
def learnt(registry: Path, prefect_server: str) -> Path:
    """A folder: `desk`, a recipe and its sources; `home`, where they were curated and an adapter of the model
    registered.
    """
    place = registry
    file = little_recipe(place / "desk", NAME)
    for old in (place / "desk" / "raw").iterdir():
        old.unlink()
    write_lines(place / "desk" / "raw" / "desk.jsonl", asked()[:LEARNT])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(place / "home"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'home' / 'mlflow.db'}")
        with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: place / "home" / "results"}):
            data = flow(curated)(load_recipe(str(file)))
        base, holdout = data.base, data.heldout["holdout"]
        adapter = artifact("train", "adapter", {}, lambda out: tiny_adapter(base.folder / "model", out / "adapter"))
        cells = [
            {"variant": "tuned", "slice": "holdout", "metric": metric, **measured(0.9)}
            for metric in ("intent", "exact")
        ]
        Inputs(
            base=base,
            adapter=adapter,
            dataset=data.dataset,
            contract=data.contract,
            holdout=holdout,
            name=NAME,
            scores=artifact("evaluate", "scores", scores_of(cells)),
            verdict=artifact("gate", "verdict", {"verdict": "passed"}),
            predictions=predicted(base, adapter, holdout.frame()),
        ).register(1)
    return place


@pytest.fixture
def desk(learnt: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The sources as they were learnt from, the registry, and an ASSAY_HOME that has nothing but the recipe's base
    model.
    """
    shutil.copytree(learnt / "desk", tmp_path / "desk")
    shutil.copyfile(learnt / "home" / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(learnt / "home" / "artifacts" / "fetch", home / "artifacts" / "fetch")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return Desk(tmp_path / "desk")


@pytest.fixture
def deployed(prefect: None) -> Iterator[None]:
    """A deployment of retrain, and no worker: what is started is there to be looked at."""
    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow(retrain), name="retrain")
        yield
        client.delete_deployment(made)
        for run in started():
            client.delete_flow_run(run.id)


def started() -> list[FlowRun]:
    """The runs of retrain that watch has started."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=["watch", f"model:{NAME}"]))
        )
    return [run for run in runs if run.name.startswith(f"{NAME}: ")]


def steps(state: State[Any]) -> list[str]:
    """The names of the tasks that a run has run."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(str(state.state_details.flow_run_id))]))
    with get_client(sync_client=True) as client:
        return [task.name for task in client.read_task_runs(flow_run_filter=run)]


def shown(run: Any, key: str) -> Any:
    """What an artifact on the page of a run holds."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])))
    (one,) = [artifact for artifact in found if artifact.key == key]
    return one.data


def message(state: State[Any]) -> str:
    return state.message or ""


def table(state: State[Any]) -> dict[str, dict[str, Any]]:
    """The comparisons, by what is compared, as the page of the run shows them."""
    return {row["compared"]: row for row in json.loads(shown(state.state_details.flow_run_id, "watch"))}


def why(run: FlowRun) -> str:
    """What the page of a run of retrain says of why it was started."""
    return str(shown(run.id, "why"))


def test_nothing_new_is_said_after_a_look_and_nothing_else_is_run(desk: Desk, home: Path) -> None:
    before = sorted(home.rglob("*.parquet"))
    state = desk.watch()
    assert state.name == "Unchanged"
    assert "1 of 1 sources are as challenger watched version 1 learnt from them" in message(state)
    assert steps(state) == ["check the sources for changes"]
    assert sorted(home.rglob("*.parquet")) == before


def test_a_file_that_changed_without_a_new_row_is_unchanged_too(desk: Desk, deployed: None) -> None:
    source = desk.folder / "raw" / "desk.jsonl"
    source.write_text("".join(f" {line}\n" for line in source.read_text().splitlines()))
    state = desk.watch()
    assert state.name == "Unchanged"
    assert "0 of 120 rows are new" in message(state)
    assert started() == []


def test_a_few_new_rows_are_too_few_to_tell_and_below_the_rule(desk: Desk, deployed: None) -> None:
    desk.adds(FRENCH[:5])
    state = desk.watch()
    assert state.name == "Quiet"
    assert "5 of 125 rows are new" in message(state)
    assert table(state)["words"]["result"] == "too few new rows to tell (5 of 20)"
    assert started() == []


def test_more_rows_of_the_same_kind_start_a_run_once_they_are_enough(desk: Desk, deployed: None) -> None:
    desk.adds(asked()[LEARNT:])
    assert desk.watch(grown_by=0.1).name == "Started"
    (run,) = started()
    assert run.name == "watched: more rows"
    assert "rows more than the" in why(run)


def test_rows_in_another_language_are_a_drift_and_retrain_is_started_with_the_reason(
    desk: Desk, deployed: None
) -> None:
    desk.adds(FRENCH)
    state = desk.watch()
    assert state.name == "Started"
    (run,) = started()
    assert run.name == "watched: prompt length, words, labels"
    assert {"watch", "model:watched", "reason:words"} < set(run.tags)
    assert run.parameters["recipe_path"] == str(desk.file)
    assert "prompts are of other lengths: median 6" in message(state)
    assert "words are used otherwise" in why(run)
    told = table(state)["words"]
    assert told["test"] == "Jensen-Shannon, permutation"
    assert float(told["p-value"]) < 0.01
    assert "colis 0% -> 100%" in told["result"]


def try_once(desk: Desk, attempt: int = 0) -> FlowRun:
    """Start a run for the data as it is now, without the comparisons that come before."""
    plan = load_recipe(str(desk.file))
    run = start_retrain.start(
        plan, {"recipe_path": str(desk.file)}, looked(plan)[1].digest, {"words": "other"}, attempt
    )
    return next(one for one in started() if str(one.id) == run.run_id)


def crash(run: FlowRun) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Crashed(), force=True)


def test_the_same_data_is_not_tried_again_after_a_verdict_nor_while_a_run_of_it_waits(
    desk: Desk, deployed: None
) -> None:
    desk.says(watch=QUIETLY)
    desk.adds(FRENCH)
    run = try_once(desk)
    second = desk.watch()
    assert second.name == "Waiting"
    assert f"under way already: {run.name}" in message(second)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Completed(name="Refused", message="The gate said no."), force=True)
    after = desk.watch()
    assert after.name == "Waiting"
    assert "ended as Refused: The gate said no." in message(after)
    assert sorted(steps(after)) == ["check for runs under way", "check the sources for changes"]
    assert len(started()) == 1


def test_two_watches_that_decide_at_the_same_moment_start_one_run(desk: Desk, deployed: None) -> None:
    desk.says(watch=QUIETLY)
    desk.adds(FRENCH)
    assert try_once(desk).id == try_once(desk).id
    assert len(started()) == 1


def test_a_run_that_crashed_is_started_again_and_after_three_a_person_is_asked(desk: Desk, deployed: None) -> None:
    desk.says(watch=QUIETLY)
    desk.adds(FRENCH)
    crash(try_once(desk))
    assert desk.watch().name == "Started"
    assert len(started()) == 2
    for run in [*started(), try_once(desk, 2)]:
        crash(run)
    asked_for = desk.watch()
    assert asked_for.name == "Waiting"
    assert "Retrain failed 3 times with this data" in message(asked_for)


def test_a_run_that_was_killed_is_not_under_way_though_the_server_says_so(desk: Desk, deployed: None) -> None:
    desk.says(watch=QUIETLY)
    desk.adds(FRENCH)
    run = try_once(desk)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Running(), force=True)
        with sign_of_life(str(run.id)):
            assert f"under way already: {run.name} (Running)" in message(desk.watch())
        assert desk.watch().name == "Waiting"  # of another home, it may be
        (home_folder("locks") / f"run-{run.id}.lock").touch()  # as a killed one leaves it
        assert desk.watch().name == "Started"
        # What an automation then makes of a crash is another matter.
        assert "Crashed" in [state.name for state in client.read_flow_run_states(run.id)]


def test_new_rows_that_break_the_contract_wait_for_a_person(desk: Desk, deployed: None) -> None:
    rule = {
        "expect_column_values_to_be_between": {"column": "prompt_words", "max_value": 30},
        "why": "Longer is a thread.",
    }
    contract = yaml.safe_load((desk.folder / "contract.yaml").read_text())
    (desk.folder / "contract.yaml").write_text(
        yaml.safe_dump({**contract, "expectations": [*contract["expectations"], rule]})
    )
    long = [conversation(f"{'so it was and ' * 9} where is the {thing} that I bought?", "order") for thing in THINGS]
    desk.adds(asked()[LEARNT : LEARNT + BATCH] + long)
    state = desk.watch(length_effect=0, word_effect=0, label_effect=0, grown_by=0.01)
    assert state.name == "Held"
    assert "prompt_words: values to be between (max_value 30): " in message(state)
    assert "mend these rows" in message(state)
    assert started() == []


def test_a_label_it_never_saw_starts_a_run_and_one_the_recipe_does_not_know_asks_a_person(
    desk: Desk, deployed: None
) -> None:
    schema = {
        "type": "object",
        "required": ["intent"],
        "properties": {"intent": {"enum": ["order", "refund", "invoice"]}},
    }
    desk.says(answer={"label": "intent", "graded": ["intent"], "json_schema": schema})
    invoice = [conversation(f"Where is the paper for the {thing} that I bought?", "invoice") for thing in THINGS[:4]]
    foreign = [spoken(f"Where is the {thing} now?", '{"intent": "complaint"}') for thing in THINGS[:4]]
    desk.adds(asked()[LEARNT : LEARNT + BATCH] + invoice + foreign)
    state = desk.watch(new_label_share=0.02)
    assert state.name == "Started"
    assert "labels it never saw: invoice (4)" in why(started()[0])
    assert table(state)["labels the recipe does not know"]["result"].endswith("complaint (4)")


def test_a_champion_that_is_right_less_often_than_registered_starts_a_run(desk: Desk, deployed: None) -> None:
    desk.adds(asked()[LEARNT : LEARNT + BATCH])
    state = desk.watch(scored_rows=20, accuracy_drop=0.1, least_rows=10)
    assert state.name == "Started"
    assert "registered with 90.0 %" in table(state)["champion: intent"]["result"]
    assert "intent 0.0 % [0.0, " in why(started()[0])


def test_new_rows_like_the_old_ones_are_no_drift_whether_the_snapshot_comes_from_the_registry_or_from_home(
    desk: Desk, deployed: None, learnt: Path, home: Path
) -> None:
    desk.adds(asked()[LEARNT : LEARNT + BATCH])
    state = desk.watch()
    assert state.name == "Quiet"
    assert "60 of 180 rows are new" in message(state)
    first = table(state)
    assert {first[what]["result"] for what in ("words", "prompt length", "labels")} == {"chance explains it"}
    (found,) = (home / "artifacts" / "snapshot").iterdir()
    assert set(json.loads((found / "told.json").read_text())["from"].values()) == {"the registry"}
    shutil.rmtree(home / "artifacts")
    shutil.copytree(learnt / "home" / "artifacts", home / "artifacts")
    assert table(desk.watch()) == first
    (found,) = (home / "artifacts" / "snapshot").iterdir()
    assert json.loads((found / "told.json").read_text())["from"]["curated.parquet"] == "ASSAY_HOME"


def test_a_registered_snapshot_that_was_changed_is_not_believed(desk: Desk, learnt: Path) -> None:
    desk.adds(FRENCH)
    (file,) = (learnt / "home" / "mlartifacts").rglob("ledger.parquet")
    before = file.read_bytes()
    file.write_bytes(before[:-1])
    try:
        state = desk.watch()
    finally:
        file.write_bytes(before)
    assert state.name == "Failed"
    assert "data/ledger.parquet has changed since" in message(state)


def test_new_rows_of_which_none_comes_through_are_told_and_start_nothing(desk: Desk, deployed: None) -> None:
    desk.adds([spoken("", '{"intent": "order"}') for _ in range(30)])
    state = desk.watch()
    assert state.name == "Quiet"
    assert table(state)["rows held back"]["new rows"] == "100.0%"


def test_without_a_version_the_reason_is_first_and_without_a_deployment_it_runs_here(desk: Desk) -> None:
    desk.says(name="unheard-of", kind="preference", contract="preference")  # which retrain refuses before anything runs
    state = desk.watch()
    assert state.name == "Failed"
    assert "Rows of kind preference are curated and exported here" in message(state)
    with get_client(sync_client=True) as client:
        tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=["model:unheard-of"]))
        (run,) = client.read_flow_runs(flow_run_filter=tagged)
    assert run.name == "unheard-of: first"
    assert run.state_name == "Failed"
