"""What a killed process left behind. In a container the kernel ends it; here each process of a stack carries two marks.

`mlflow server`, killed, leaves its workers on the port, and a killed worker its flow runs: the service that is started
in its place ends them first, as a container's end would have.
"""

from __future__ import annotations

import contextlib

import psutil

STACK, SERVICE = "ASSAY_STACK", "ASSAY_STACK_SERVICE"  # variables: the stack's folder, the service's name
PATIENCE = 15  # seconds to end by themselves: training keeps its checkpoint


def end_leftovers(marks: dict[str, str]) -> int:
    """End every process whose environment has these variables; returns how many there were."""
    found = [process for process in psutil.process_iter() if _has(process, marks)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(found, timeout=PATIENCE)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=PATIENCE)
    return len(found)


def _has(process: psutil.Process, marks: dict[str, str]) -> bool:
    with contextlib.suppress(psutil.Error):  # it ended, or is another user's
        environment = process.environ()
        return all(environment.get(name) == value for name, value in marks.items())
    return False
