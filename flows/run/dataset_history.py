"""Which run made which dataset: a line a run in ASSAY_HOME/runs.jsonl, and datasets found again by any name they have.

A dataset that did not change is not made again, so its folder's age says nothing of when it was last the result of a
run.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from tasks.core.errors import DataError
from tasks.core.handle import CURATED, FACTS, Handle
from tasks.core.home import digest_path, home, home_folder
from tasks.facts.dataset import DatasetFacts

RUNS = "runs.jsonl"
STEP = "account"  # whose artifacts are datasets
SHORT = 16  # digits of a digest that name a folder
NAMES = "newest, previous, a run's name, the first digits of a dataset's digest, or its folder"


def record_dataset(recipe: str, dataset: Handle) -> None:
    """Note that a run of `recipe` has just ended with `dataset`; the Prefect run it stands in gives it its name."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": recipe,
        "dataset": dataset.digest,
        "run": run.name if run else "",
        "run_id": str(run.id) if run else "",
    }
    with FileLock(home_folder("scratch") / "runs.lock"), (home() / RUNS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def find_dataset(name: str = "newest") -> Handle:
    """The dataset that `name` means. Raises DataError, saying which there are, when it means none or several."""
    folder, known = Path(name).expanduser(), folders()
    found = [folder.resolve()] if _is_dataset(folder) else _named(name, known)
    if len(found) == 1:
        return _handle(found[0])
    listed = ", ".join(one.name for one in (found or known)[:5]) or "none yet"
    raise DataError(
        f"{name!r} means {len(found)} datasets." if found else f"There is no dataset {name!r}.",
        where=str(home() / "artifacts" / STEP),
        allowed=f"{NAMES}; newest first: {listed}",
        todo="give more digits" if found else "choose one of these" if known else "run `assay curate` first",
    )


def folders() -> list[Path]:
    """Every dataset in this home, the one that a run ended with last first; those of no known run
    after them, by age.
    """
    last = {line["dataset"][:SHORT]: number for number, line in enumerate(_runs())}

    def age(folder: Path) -> tuple[int, float, str]:
        return -last.get(folder.name, -1), -(folder / FACTS).stat().st_mtime, folder.name

    return sorted(filter(_is_dataset, (home() / "artifacts" / STEP).glob("*")), key=age)


def _is_dataset(folder: Path) -> bool:
    return (folder / CURATED).is_file() and (folder / FACTS).is_file()


def _named(name: str, known: list[Path]) -> list[Path]:
    if name in ("newest", "previous"):
        return known[:1] if name == "newest" else known[1:2]
    runs = [line["dataset"] for line in _runs() if name in (line["run"], line["run_id"])]
    digest = runs[-1] if runs else name
    return [folder for folder in known if digest and folder.name.startswith(digest[:SHORT])]


def _runs() -> list[dict[str, Any]]:
    file = home() / RUNS
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]  # the last may be cut off by a kill


def _handle(folder: Path) -> Handle:
    kept = DatasetFacts.read(folder / FACTS).kept
    return Handle.of(folder, step=STEP, kind="dataset", digest=digest_path(folder), rows=kept)
