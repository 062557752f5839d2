from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from tasks.core.errors import DataError
from tasks.data import compression
from tasks.data.readers import read_records

MEGABYTE = 1 << 20
HELD = 8 * MEGABYTE  # the most of one file, on the machine that these tests pretend to be


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "usable_memory", lambda: compression.SHARE * HELD)


def gzip_of(megabytes: int) -> bytes:
    """Zeros, packed a thousandfold, without being held as a whole here."""
    pack = zlib.compressobj(9, wbits=31)
    return b"".join([*(pack.compress(bytes(MEGABYTE)) for _ in range(megabytes)), pack.flush()])


def zstd_of(megabytes: int) -> bytes:
    pack = zstandard.ZstdCompressor().compressobj()
    return b"".join([*(pack.compress(bytes(MEGABYTE)) for _ in range(megabytes)), pack.flush()])


@pytest.mark.parametrize("packed_by", [gzip_of, zstd_of])
def test_a_small_file_that_unpacks_to_more_than_memory_is_refused_in_words(packed_by: Any) -> None:
    trap = packed_by(200)
    assert len(trap) < MEGABYTE
    with pytest.raises(DataError, match=r"x\.jsonl unpacks to more than 0\.0 GB") as told:
        read_records("x.jsonl", trap)
    assert told.value.todo


def test_unpacking_stops_at_the_limit_and_holds_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    ask = compression.check_size
    monkeypatch.setattr(compression, "check_size", lambda name, size: (seen.append(size), ask(name, size))[1])
    with pytest.raises(DataError):
        compression.unpacked("x", gzip_of(200))
    assert max(seen) <= HELD + compression.PIECE


def test_an_archive_in_several_parts_is_read_whole() -> None:
    assert compression.unpacked("x", gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"
    assert compression.unpacked("x", zstandard.compress(b"one ") + zstandard.compress(b"two")) == b"one two"


def test_a_parquet_file_of_endless_rows_is_refused_before_it_is_read() -> None:
    out = io.BytesIO()
    pl.DataFrame({"prompt": pl.repeat(None, 1_000_000, dtype=pl.String, eager=True)}).write_parquet(out)
    assert len(out.getvalue()) < MEGABYTE
    with pytest.raises(DataError, match="unpacks to more than"):
        read_records("x.parquet", out.getvalue())


def test_a_file_that_fits_is_read(tmp_path: Path) -> None:
    rows = "".join(f'{{"prompt": "{n}", "completion": "x"}}\n' for n in range(1000))
    assert len(list(read_records("x.jsonl.gz", gzip.compress(rows.encode())))) == 1000
