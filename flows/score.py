"""score: a file of questions in; the same rows out, each with the champion's answer and the version that gave it.

assay score support-triage inbox.csv --out answers.parquet
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.run.final_states import ends_in_words
from flows.run.model_parameters import Model
from flows.run.parameters import shown
from tasks.core.action import act
from tasks.core.allowed_folders import check_inside
from tasks.core.errors import AssayError
from tasks.core.handle import Handle
from tasks.core.step import work_step
from tasks.core.text.user_input import typed_path, typed_source
from tasks.core.urls import NO_KEY
from tasks.curation.ingest import RawFile, Source, find_sources
from tasks.release.score import ANSWERS, ScoreSettings, find_served
from tasks.release.score import score as answer

ENDINGS = (".parquet", ".jsonl")

Data = Annotated[
    str,
    shown(
        "Data",
        "A file or a glob, as the worker sees it, a URL, or env:NAME where its variable NAME holds a URL with a key; "
        "in any format that a recipe reads, answered or not.",
        schema=NO_KEY,
        min_length=1,
    ),
]
Out = Annotated[
    str, shown("Output", "The file to write, as the worker sees it: .parquet or .jsonl by its name.", min_length=1)
]
Alias = Annotated[
    str,
    shown(
        "Alias",
        "Which version answers.",
        schema={"enum": ["champion", "challenger", "previous"]},
        min_length=1,
    ),
]


@flow(name="score", persist_result=False)
@ends_in_words
def score(model: Model, data: Data, out: Out, alias: Alias = "champion") -> State[dict[str, Any]]:
    """Answer every row of a file. Rows keep their order; one that cannot be read or answered has
    its error beside it.
    """
    target, source = check_target(typed_path(out, "parameter: out")), Source(path=typed_source(data, "parameter: data"))
    served = act("find version", find_served, model, alias)  # once: the alias may move while rows are answered
    files = find_sources([source], Path.cwd())
    check_apart(target, files)
    answers = work_step(answer, ScoreSettings(), "score", served=served, files=files)
    act("write answers", write, answers, target)
    line = f"{answers.line}: {target}"
    return Completed(message=line, data={"answers": answers, "line": line})


def check_target(target: Path) -> Path:
    """Raise AssayError for a file that could not be written, before anything is answered."""
    if target.suffix not in ENDINGS or not target.absolute().parent.is_dir():
        raise AssayError(
            f"The answers cannot be written to {target}.",
            where="parameter: out",
            allowed=f"a file that ends in {' or '.join(ENDINGS)}, in a folder that is there",
            todo="give another name, or make the folder",
        )
    check_inside(target, "parameter: out")
    half = _half(target)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        half.touch()
        half.unlink()
    except OSError as error:
        raise AssayError(
            f"The answers cannot be written to {target}: {error.strerror}.",
            where="parameter: out",
            allowed="a file that the worker's user may write, in a folder that is there",
            todo="give another name",
        ) from error
    return target


def check_apart(target: Path, files: Sequence[RawFile]) -> None:
    """Raise AssayError where the answers would take the place of what is answered."""
    if any(file.location == str(target.absolute()) for file in files):
        raise AssayError(
            f"The answers would be written over the data: {target}.",
            where="parameter: out",
            allowed="a file that is not among the data",
            todo="give another name, or narrow the glob of the data",
        )


def write(answers: Handle, target: Path) -> None:
    """Write the answers beside the target, then put them in its place: who reads it sees the old file or the whole new
    one.
    """
    frame, half = answers.frame(ANSWERS), _half(target)
    if target.suffix == ".parquet":
        frame.write_parquet(half)
    else:
        with half.open("w", encoding="utf-8") as file:
            file.writelines(_line(row) for row in frame.iter_rows(named=True))
    os.replace(half, target)


def _half(target: Path) -> Path:
    return target.with_name(f".{target.name}.half")


def _line(row: dict[str, Any]) -> str:
    """A row as JSON; its input as the object it was, where it was one."""
    with contextlib.suppress(ValueError):
        row["input"] = json.loads(row["input"])
    return json.dumps(row, ensure_ascii=False) + "\n"
