"""What is done to a run, as data: which process is hit, how, and while which step of retrain is under way.

    python -m tests.chaos                     every case that has not been recorded
    python -m tests.chaos 'mlflow .* register'      those whose name the pattern matches, again

The order is that of value, so that a matrix that is stopped early has told most.
"""

from __future__ import annotations

from dataclasses import dataclass

STEPS = ("train", "register", "check", "tuned", "ingest", "report")  # `tuned`: the tuned model answers the holdout
SERVICES = ("prefect-server", "mlflow", "postgres")
WHO = {
    "worker": "the worker alone; its flow run lives on until the worker's next start ends it",
    "run": "the flow run's process",
    "machine": "worker, flow run and trainer at once, as a machine that lost power",
    "trainer": "the process that trains",
    "prefect-server": "the Prefect API server",
    "mlflow": "the MLflow server",
    "postgres": "PostgreSQL, and with it both servers' memory",
    "network": "both servers stop answering, as they do for a worker whose network is cut",
    "disk": "the disk of ASSAY_HOME is full to the last byte until the run has stopped",
}


@dataclass(frozen=True)
class Case:
    """how: KILL or TERM (the signal), STOP 10 (stopped for so many seconds), FULL (of a disk)."""

    hit: str
    how: str
    step: str

    @property
    def name(self) -> str:
        return f"{self.hit} {self.how} {self.step}"


def matrix() -> list[Case]:
    """Every case, the most telling first: what is killed outright, at the costliest steps; then what is milder or elsewhere."""
    first, later = STEPS[:2], STEPS[2:]
    return [
        *(case for step in first for case in _killed(step)),
        *(Case("disk", "FULL", step) for step in first),
        *(Case(hit, "STOP 10", step) for step in first for hit in SERVICES),
        *(case for step in first for case in _killed(step, "TERM")),
        *(case for step in later for case in _killed(step)),
        *(case for step in later for case in _killed(step, "TERM")),
        *(Case("disk", "FULL", step) for step in later),
        *(Case(hit, "STOP 10", step) for step in later for hit in SERVICES),
        Case("network", "STOP 600", "register"),
    ]


def _killed(step: str, how: str = "KILL") -> list[Case]:
    machine, trainer = ("machine",) if how == "KILL" else (), ("trainer",) if step == "train" else ()
    return [Case(hit, how, step) for hit in (*trainer, "run", *machine, "worker", *SERVICES)]
