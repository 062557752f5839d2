"""One finder of near-duplicates on one file of texts: `python -m tests.benchmarks.finders NAME TEXTS.parquet FOLDER`.

Each runs in a process of its own, so that its memory is its own, and under any interpreter that has it (the peers need
not share an environment with Assay). Writes FOLDER/told.json (seconds of the work once the texts are in memory; peak
bytes of the process, and before the work) and FOLDER/found.npy: pairs of row numbers, or the numbers of the rows it
would drop.

All are asked for word 3-grams and Jaccard 0.7, approximate ones with 128 hash functions.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

THRESHOLD, HASHES, BANDS = 0.7, 128, 32
Found = Any  # (n, 2) pairs or (n,) rows, as integers


def shingles(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 3]) for i in range(max(len(words) - 2, 1))} if words else set()


def assay(texts: pl.Series) -> Found:
    from tasks.curation.dedupe import near_duplicate_pairs

    frame = pl.DataFrame({"row_id": pl.Series(range(len(texts))).cast(pl.String).str.zfill(9), "text": texts})
    found = near_duplicate_pairs(frame, THRESHOLD, 3)
    return found.select(pl.col("row_id_a", "row_id_b").cast(pl.Int64)).to_numpy()


def gaoya(texts: Sequence[str]) -> Found:
    from gaoya.minhash import MinHashStringIndex

    index = MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=THRESHOLD,
        num_bands=BANDS,
        band_size=HASHES // BANDS,
        analyzer="word",
        lowercase=True,
        ngram_range=(3, 3),
        id_container="smallvec",
    )
    index.par_bulk_insert_docs(list(range(len(texts))), texts)
    return np.array([(i, j) for i, near in enumerate(index.par_bulk_query(texts)) for j in near if i < j]).reshape(
        -1, 2
    )


def datasketch(texts: Sequence[str]) -> Found:
    from datasketch import MinHash, MinHashLSH

    index, pairs = MinHashLSH(threshold=THRESHOLD, num_perm=HASHES), []
    sets = ([shingle.encode() for shingle in shingles(text)] for text in texts)
    for i, sketch in enumerate(MinHash.generator(sets, num_perm=HASHES)):
        pairs += [(j, i) for j in index.query(sketch)]
        index.insert(i, sketch)
    return np.array(pairs).reshape(-1, 2)


def rensa(texts: Sequence[str]) -> Found:
    from rensa import RMinHash, RMinHashDeduplicator

    sketches = RMinHash.from_token_sets([list(shingles(text)) for text in texts], HASHES, 42)
    kept = RMinHashDeduplicator(THRESHOLD, HASHES, True, 16, 42).add_pairs(
        [(str(i), s) for i, s in enumerate(sketches)]
    )
    return np.flatnonzero(~np.array(kept, dtype=bool))


class HashedShingles:
    """semhash compares vectors; it has no lexical mode of its own, so it is given counts of shingles, hashed to 512."""

    def encode(self, inputs: Sequence[str], **_: object) -> Any:
        from zlib import crc32

        vectors = np.zeros((len(inputs), 512), np.float32)
        for i, text in enumerate(inputs):
            for shingle in shingles(text):
                code = crc32(shingle.encode())
                vectors[i, code % 512] += 1 if code & 512 else -1
        return vectors


def semhash(texts: Sequence[str]) -> Found:
    from semhash import SemHash

    records = [{"text": text, "row": str(i)} for i, text in enumerate(texts)]
    index = SemHash.from_records(records, columns=["text"], model=HashedShingles())
    # Two sets of one size with Jaccard J have the cosine 2J / (1 + J).
    result = index.self_deduplicate(threshold=2 * THRESHOLD / (1 + THRESHOLD))
    return np.setdiff1d(np.arange(len(texts)), [int(record["row"]) for record in result.selected])


FINDERS: dict[str, Callable[[Any], Found]] = {f.__name__: f for f in (assay, gaoya, rensa, datasketch, semhash)}


def peak() -> int:
    """Bytes. Of this program alone: ru_maxrss begins with what the process that started it held."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(name: str, file: str, folder: str) -> None:
    column = pl.read_parquet(file)["text"]
    texts = column if name == "assay" else column.to_list()  # each in the form it reads fastest
    del column
    FINDERS[name](texts[:3])  # imports what it needs
    before, started = peak(), time.monotonic()
    found = FINDERS[name](texts)
    told = {"seconds": time.monotonic() - started, "before": before, "peak": peak()}
    np.save(Path(folder) / "found.npy", found)
    (Path(folder) / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
