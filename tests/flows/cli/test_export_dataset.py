"""`assay export` of a file: curated rows are written, and anything else is refused in words."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from flows.cli.export_dataset import export_file
from tasks.core.errors import DataError
from tests.support.training import rows


def test_a_curated_file_is_written_split_by_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows(8, 2).write_parquet(tmp_path / "curated.parquet")
    export_file(tmp_path / "curated.parquet", "sft", "openai", tmp_path / "out")
    assert {file.name: len(file.read_text().splitlines()) for file in (tmp_path / "out").iterdir()} == {
        "train.jsonl": 8,
        "validation.jsonl": 2,
    }
    assert "train 8, validation 2" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"not Parquet", b""])
def test_a_file_without_curated_rows_is_refused_with_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "rows.parquet"
    if content is None:
        pl.DataFrame({"text": ["other columns"]}).write_parquet(file)
    else:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)holds no curated rows.*assay curate"):
        export_file(file, "sft", "trl", tmp_path / "out")
    assert not (tmp_path / "out").exists()
