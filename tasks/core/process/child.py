"""The environment of our child processes, in which the names `tasks`, `flows`, `data_contracts` and `infra` mean ours.

These names are common. Python looks first in the working directory, where another project may have a `tasks.py`, and
then in PYTHONPATH, where it may have a package `tasks`: either would be run in place of ours.
"""

from __future__ import annotations

import os

from tasks.core.code_digest import ROOT
from tasks.core.process.hardware import computing_environment


def child_environment() -> dict[str, str]:
    """This process's environment for a child that runs modules of ours: they come first, the working directory never.
    What is not set is what computing does best with, whoever started this process.
    """
    path = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **computing_environment(),
        **os.environ,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
    }
