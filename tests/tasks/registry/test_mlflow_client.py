"""tasks/registry/mlflow_client.py: MLflow's errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import OutsideError, RegistrationError, is_disk_full
from tasks.registry import mlflow_client


class Door(BaseHTTPRequestHandler):
    """What MLflow's basic-auth app says to a stranger, and that it is ill to one it knows."""

    def do_GET(self) -> None:
        self.send_response(503 if "Authorization" in self.headers else 401)
        self.end_headers()
        self.wfile.write(b"You are not authenticated.")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield mlflow_client.client()
    server.shutdown()
    server.server_close()


def test_a_server_that_does_not_know_us_is_no_hiccup_and_says_what_to_set(client: Any) -> None:
    with (
        pytest.raises(RegistrationError, match="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        mlflow_client.outside("x"),
    ):
        mlflow_client.experiment(client, "x")


def test_a_server_that_is_ill_may_heal(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "a")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "b")
    with pytest.raises(OutsideError), mlflow_client.outside("x"):
        mlflow_client.experiment(client, "x")


def test_a_server_that_refuses_us_is_known_before_a_run_and_one_that_is_away_stops_none(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RegistrationError, match="MLFLOW_TRACKING_USERNAME"):
        mlflow_client.check_access()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    mlflow_client.check_access()  # it knows us, and is ill
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///nowhere/else.db")
    mlflow_client.check_access()


def test_of_two_runs_that_two_machines_made_at_the_same_moment_the_first_stays_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client = mlflow_client.client()
    place = client.create_experiment("refused", artifact_location=tmp_path.as_uri())
    made = [
        client.create_run(place, tags={mlflow_client.DIGEST: "d"}, start_time=time).info.run_id
        for time in (2000, 1000, 1000)
    ]
    kept = {mlflow_client.only_run(client, place, "refused", "d").info.run_id for _ in range(2)}
    assert kept == {run.info.run_id for run in client.search_runs([place])}
    assert len(kept) == 1
    assert kept < set(made[1:])


def copy() -> None:
    """As MLflow copies files, here to a disk that is full."""
    from mlflow.exceptions import MlflowException

    try:
        Path("/dev/full").write_text("x")
    except OSError as error:
        raise MlflowException.invalid_parameter_value("Failed to copy") from error


def test_a_disk_of_our_own_that_is_full_is_no_refusal_of_mlflow_and_a_servers_is() -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught, mlflow_client.outside("register the model"):
        copy()
    assert is_disk_full(caught.value)
    with pytest.raises(RegistrationError, match="MLflow refused"), mlflow_client.outside("register the model"):
        raise MlflowException.invalid_parameter_value("[Errno 28] No space left on device")


def test_a_folder_that_another_process_made_since_mlflow_looked_heals() -> None:
    with pytest.raises(OutsideError, match="File exists"), mlflow_client.outside("register the model"):
        Path("/").mkdir()
