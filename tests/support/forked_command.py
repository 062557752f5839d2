"""The `assay` command in a fork of a preloaded process, and its versions and trainers in others of the same.

python -m tests.support.forked_command SOCKET ARGUMENTS...    (in place of: python -m assay ARGUMENTS...)
"""

from __future__ import annotations

import sys
from pathlib import Path

from flows.cli.main import main
from tests.support.forks import fork_versions_and_trainers, preloaded_at

if __name__ == "__main__":
    fork_versions_and_trainers(preloaded_at(Path(sys.argv[1])), setattr)
    sys.exit(main(sys.argv[2:]))
