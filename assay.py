"""The `assay` command: the one module that is found by a name of its own, and sees to it that the others are ours.

    assay run RECIPE        python -m assay run RECIPE

`flows`, `tasks` and `infra` are common names: another package `tasks` on PYTHONPATH, or a `tasks.py` in the working
directory, would be taken for ours. So the folder that this file lies in comes first on the path. (A package `assay`
made of these folders by setuptools' package-dir was weighed: a type checker and an import linter cannot follow an
editable install that maps names without links, so the names stay and the paths are made safe;
tasks/core/process/child.py does it for child processes.)
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from flows.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
