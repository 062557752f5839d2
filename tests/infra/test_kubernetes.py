"""infra/kubernetes against the schemas of Kubernetes and of Prefect's charts, and against itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "infra" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
VERSION = "1.33"  # a release that the clouds still run; what is used here is older than all of them


def values(chart: str) -> Any:
    return yaml.safe_load((FOLDER / f"{chart}.yaml").read_text())


def job_template() -> Any:
    return json.loads((FOLDER / "job-template.json").read_text())


def filled(part: Any, given: dict[str, Any]) -> Any:
    """A template as a worker fills it in: `{{ name }}` becomes the value itself; keys without a value go away."""
    if isinstance(part, dict):
        return {key: value for key, old in part.items() if (value := filled(old, given)) is not None}
    if isinstance(part, list):
        return [filled(old, given) for old in part]
    name = re.fullmatch(r"\{\{ (\w+) \}\}", part) if isinstance(part, str) else None
    if name:
        return given.get(name[1])
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: str(given[match[1]]), part) if isinstance(part, str) else part


@pytest.mark.parametrize("chart", ["prefect-server", "prefect-worker"])
def test_the_charts_take_our_values(chart: str) -> None:
    schema = json.loads((SCHEMAS / f"{chart}.schema.json").read_text())
    jsonschema.validate(values(chart), schema)
    (part,) = values(chart).keys() & {"server", "worker"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**values(chart), part: {**values(chart)[part], "replicas": 2}}, schema)


@pytest.mark.parametrize(
    "manifest", list(yaml.safe_load_all((FOLDER / "mlflow.yaml").read_text())), ids=lambda m: m["kind"]
)
def test_kubernetes_takes_each_manifest(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_the_job_of_a_run_asks_for_its_gpus_and_its_nodes_and_shares_the_home_folder() -> None:
    template = job_template()
    defaults = {
        name: field["default"] for name, field in template["variables"]["properties"].items() if "default" in field
    }
    given = {
        **defaults,
        "name": "retrain",
        "env": [{"name": "A", "value": "b"}],
        "labels": {"a": "b"},
        "command": ["prefect"],
    }
    job = filled(template["job_configuration"]["job_manifest"], {**given, "gpus": "2"})
    kubernetes_validate.validate(job, VERSION, strict=True)
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "assay-home"


def test_the_job_template_is_whole() -> None:
    """Each variable that is used is described, and each that is described is used."""
    template = job_template()
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == template["variables"]["properties"].keys()
    for field in template["variables"]["properties"].values():
        jsonschema.Draft202012Validator.check_schema(field)


def test_the_versions_are_those_of_the_flows() -> None:
    pins = dict(
        line.split("==") for line in (FOLDER.parents[1] / "constraints.txt").read_text().split() if "==" in line
    )
    tags = [values("prefect-server")["global"]["prefect"]["image"], values("prefect-worker")["worker"]["image"]]
    assert {tag["prefectTag"].split("-")[0] for tag in tags} == {pins["prefect"]}
