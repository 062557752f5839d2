"""Decompress gzip and zstd, never to more than this machine can hold: a few kilobytes may unpack to
terabytes.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any

from tasks.core.process.hardware import usable_memory
from tasks.data.records import refused

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SHARE = 4  # a file is held as bytes, as text and as rows, some of them at once: four times its size and more
PIECE = 1 << 20
ROW_BYTES = 64  # the least that a row takes, even one of nulls, of which Parquet packs millions into nothing


def unpacked(name: str, data: bytes) -> bytes:
    """By the first bytes, not by the ending: exports are renamed more often than they are repacked.

    Raises DataError for what is damaged, and for what is too large, as soon as it is.
    """
    import zstandard

    try:
        if data.startswith(GZIP):
            return _all_of(name, gzip.GzipFile(fileobj=io.BytesIO(data)))
        if data.startswith(ZSTD):
            return _all_of(name, zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True))
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise refused(name, f"is compressed, and damaged or cut off ({error})", "copy or export it again") from error
    return data


def _all_of(name: str, stream: Any) -> bytes:
    pieces, size = list[bytes](), 0
    while piece := stream.read(PIECE):
        size += len(piece)
        check_size(name, size)
        pieces.append(piece)
    return b"".join(pieces)


def check_parquet(name: str, data: bytes) -> None:
    """Raise DataError when the file says of itself that it unpacks to too much. Whatever pyarrow raises for a damaged
    one.
    """
    import pyarrow.parquet as pq

    told = pq.read_metadata(io.BytesIO(data))
    size = sum(told.row_group(number).total_byte_size for number in range(told.num_row_groups))
    check_size(name, max(size, told.num_rows * ROW_BYTES))


def check_size(name: str, size: int) -> None:
    """Raise DataError when `size` bytes of one file are more than this machine can hold."""
    most = usable_memory() // SHARE
    if size > most:
        raise refused(
            name,
            f"unpacks to more than {most / 1e9:.1f} GB, the most that this machine can hold of one file",
            "split it into smaller files, or use a machine with more memory; a small file that does so may be a trap",
        )
