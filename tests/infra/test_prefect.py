"""infra/prefect.yaml and infra/automations.yaml: what Prefect takes, and what must hold of them."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.events.schemas.automations import AutomationCore
from prefect.server.events.schemas.automations import EventTrigger

from flows.servers.automations import NOTIFY, OURS
from flows.servers.deploy import AUTOMATIONS, DEPLOYMENTS, load_flow

HEARTBEAT = 180  # seconds; prefect.settings.models.flows
DEPLOYED: dict[str, Any] = yaml.safe_load(DEPLOYMENTS.read_text())
AUTOMATED: list[dict[str, Any]] = yaml.safe_load(AUTOMATIONS.read_text())["automations"]


def test_prefect_takes_the_file_by_its_own_schema() -> None:
    schema = PrefectYamlModel.model_json_schema()  # of which schemas/prefect.yaml.schema.json in its repository is made
    jsonschema.validate(DEPLOYED, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**DEPLOYED, "deployments": [{"schedule": {"cron": 5}}]}, schema)


@pytest.mark.parametrize("entry", DEPLOYED["deployments"], ids=lambda entry: entry["name"])
def test_every_deployment_is_a_flow_that_a_form_can_start(entry: dict[str, Any]) -> None:
    flow = load_flow(entry["entrypoint"])
    assert flow.name == entry["name"]
    for field in flow.parameters.model_dump()["properties"].values():
        assert {"title", "description", "type"} <= field.keys()
        assert not {"anyOf", "oneOf", "$ref"} & field.keys()


def test_no_folder_of_the_deploying_machine_is_written_down() -> None:
    assert DEPLOYED["pull"] == []
    assert all(":" not in entry["entrypoint"] and "/" not in entry["entrypoint"] for entry in DEPLOYED["deployments"])


def test_what_changes_a_model_never_runs_twice_at_once_and_is_never_dropped() -> None:
    limits = {entry["name"]: entry.get("concurrency_limit") for entry in DEPLOYED["deployments"]}
    for name in ("retrain", "promote", "rollback"):
        assert limits[name] == {"limit": 1, "collision_strategy": "ENQUEUE"}


def test_every_deployment_has_a_limit_and_a_queue_and_only_training_fills_a_machine() -> None:
    assert all(entry["concurrency_limit"]["limit"] == 1 for entry in DEPLOYED["deployments"])
    queues = DEPLOYED["definitions"]["queues"]
    used = {entry["name"]: entry["work_pool"]["work_queue_name"] for entry in DEPLOYED["deployments"]}
    assert set(used.values()) == {"default", *queues}
    assert [name for name, queue in used.items() if queue == "training"] == ["retrain"]
    assert queues["training"] == {"priority": 2, "concurrency_limit": 1}


def test_every_automation_has_a_name_by_which_deploy_knows_it_as_ours() -> None:
    named = [*AUTOMATED, *(trigger for entry in DEPLOYED["deployments"] for trigger in entry.get("triggers", []))]
    assert all(one["name"].startswith(OURS) for one in named)


@pytest.mark.parametrize("entry", AUTOMATED, ids=lambda entry: entry["name"])
def test_prefect_takes_each_automation(entry: dict[str, Any]) -> None:
    actions = [
        {**action, "block_document_id": "0" * 32} if NOTIFY in str(action) else action for action in entry["actions"]
    ]
    AutomationCore.model_validate({**entry, "actions": actions})


def trigger(word: str) -> EventTrigger:
    (found,) = (entry["trigger"] for entry in AUTOMATED if word in entry["name"])
    return EventTrigger.model_validate(found)


@pytest.mark.parametrize("end", ["Completed", "Refused", "Undecided", "Blocked", "Promoted", "Waiting for approval"])
def test_a_run_that_ended_under_any_name_is_not_taken_for_dead(end: str) -> None:
    assert trigger("heartbeat").expects(f"prefect.flow-run.{end}")


def test_three_missing_heartbeats_are_waited_for() -> None:
    assert trigger("heartbeat").within.total_seconds() >= 3 * HEARTBEAT
    assert trigger("heartbeat").starts_after("prefect.flow-run.heartbeat")


def test_only_the_first_crash_of_a_retrain_starts_it_again() -> None:
    asked = trigger("started again")
    assert asked.match.root["prefect.run-count"] == "1"
    assert not asked.expects("prefect.flow-run.Failed")
