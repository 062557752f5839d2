"""suggest: a first contract for data that has none, to read, correct and keep beside the recipe.

text = suggest_for_file("export.jsonl", "sft")          # raw, in any format ingest knows; or a curated.parquet
text = suggest_for_dataset(recipe, dataset)             # what the recipe's curation leaves, and its answer's schema
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flows.recipe import Recipe
from tasks.contract.measure import FactSources
from tasks.contract.row_relations import RelationSettings
from tasks.contract.suggest import suggest
from tasks.core.handle import CURATED, Handle
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS, SFT, RowKind
from tasks.core.text.user_input import typed_source
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings


def suggest_for_dataset(recipe: Recipe, dataset: Handle) -> str:
    """A contract in YAML for what a recipe's curation leaves. dataset: made by account."""
    told = RelationSettings(recipe.dedupe, recipe.conflicts, recipe.decontaminate)
    given = FactSources(recipe.answer, recipe.rows_are, recipe.prompt, personal=recipe.redact, relations=told)
    return suggest(dataset.frame(CURATED), given, _name(recipe.name), f"the curated dataset of {recipe.name}")


def suggest_for_file(path: str, kind: str = SFT.name) -> str:
    """A contract in YAML for the rows of a file, a folder, a glob or a URL. Raises DataError when there is none to
    read.
    """
    path, what = typed_source(path, "DATA"), KINDS[kind]
    given = FactSources(AnswerSettings(), what, PromptSettings())
    return suggest(_rows(path, what), given, _name(Path(path).stem), Path(path).name)


def _rows(path: str, kind: RowKind) -> pl.DataFrame:
    if path.endswith(".parquet") and Path(path).is_file() and _is_curated(path):
        return pl.read_parquet(path)
    return ingest(find_sources((Source(path=path),), Path.cwd()), IngestSettings(), kind).kept


def _is_curated(path: str) -> bool:
    """Whether a Parquet file is of a run; what is none at all is for ingest to refuse, which says what is wrong."""
    try:
        return ROW_SCHEMA.keys() <= pl.read_parquet_schema(path).keys()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False


def _name(text: str) -> str:
    """`text` as a contract may be called: letters, digits, _ . and -."""
    return "".join(char if char.isalnum() or char in "_.-" else "_" for char in text).strip("._-") or "contract"
