"""What is done to a run, as data: which process is hit, how, and while which step of retrain is under way.

    python -m tests.chaos                           every case that has not been recorded, or was wrong
    python -m tests.chaos 'mlflow .* register'      those whose name the pattern matches, again

Cases that differ in the step only are played in one run, hit at each of them in turn: a run takes longer to start than
to be hit, and one that outlives six hits has outlived each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

# As a run comes to them; `tuned`: it answers the holdout.
STEPS = (
    "ingest",
    "check",
    "train",
    "tuned",
    "register",
    "report",
)
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
# What is killed outright first, then what is milder. No machine gets a TERM: that is what its worker and run get.
HITS = (
    *((hit, "KILL") for hit in ("trainer", "run", "machine", "worker", *SERVICES)),
    *((hit, "TERM") for hit in ("trainer", "run", "worker", *SERVICES)),
    ("disk", "FULL"),
    *((hit, "STOP 10") for hit in SERVICES),
)


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
    """Every case. The trainer is there at one step; ten minutes without a network are waited for once."""
    cases = [Case(hit, how, step) for hit, how in HITS for step in STEPS if hit != "trainer" or step == "train"]
    return [*cases, Case("network", "STOP 600", "register")]


def in_runs(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases in their order, those that are played in one run together."""
    return [list(together) for _, together in groupby(cases, key=lambda case: (case.hit, case.how))]
