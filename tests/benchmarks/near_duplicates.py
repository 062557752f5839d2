"""Near-duplicates beside the peers, against brute force, as rows grow, and on rows that are meant to break them.

    python -m tests.benchmarks.near_duplicates [--sizes 100000 1000000] [--growth 10000 ... 3000000] [--peers PYTHON]

Each finder runs in a process of its own on the same file of texts (finders.py). Peers are used where they are
installed: `pip install rensa gaoya datasketch semhash`, here or in an environment whose interpreter is given as
--peers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.finders import FINDERS, THRESHOLD, shingles
from tests.benchmarks.hostile import SHAPES
from tests.benchmarks.table import Figure, Section

SIZES = (100_000, 1_000_000)
GROWTH = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)
HOSTILE_ROWS = 100_000
SAMPLE = 2_000  # rows whose every pair is counted without a filter
SLOW = {"datasketch": 100_000, "semhash": 100_000}  # rows beyond which a peer would take more than ten minutes
TIMES, PEAK_BYTES, GB = 0.5, 2.5e9, 1e9  # the aims: at most half of gaoya's time; memory at the largest size
HOSTILE_SECONDS = 60  # none may blow up
VOCABULARY, SHARE_NEAR = 30_000, 0.2


@dataclass(frozen=True)
class Told:
    """What one process told. found: pairs (n, 2) or rows it would drop (n,). peak: bytes, with
    interpreter and texts.
    """

    seconds: float
    peak: int
    found: Any


def measure(
    sizes: Sequence[int] = SIZES,
    growth: Sequence[int] = GROWTH,
    hostile_rows: int = HOSTILE_ROWS,
    peers: str = sys.executable,
) -> Section:
    """About half an hour at the sizes given; the largest needs 10 GB."""
    figures, notes = [], []
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as name:
        folder = Path(name)
        for rows in sizes:
            more, told = _beside_peers(rows, rows == max(sizes), peers, folder)
            figures += more
            notes += told
        figures += [_grown(rows, folder) for rows in growth]
        figures += [figure for shape in SHAPES for figure in _hostile(shape, hostile_rows, folder)]
    return Section(
        "Near-duplicates",
        "Word 3-grams, Jaccard at least 0.7; made-up texts of 40 to 58 words by Zipf's law, one in five a copy of "
        "another with "
        "one to four words changed. Every finder in a process of its own; its time is from texts in memory to its "
        "answer, its "
        "memory the peak of the whole process.",
        figures,
        [
            f"Recall and precision of ours: all pairs of {SAMPLE:,} rows with any row, counted without a filter. Of "
            f"the others "
            "against ours: by pairs, or (rensa, semhash) by the rows dropped where of rows that are alike the first "
            "stays.",
            "semhash has no lexical mode; it is given vectors of hashed 3-grams in place of an embedding.",
            f"Hostile rows have a label, of which one in a hundred is wrong: {_shapes()}",
            *notes,
        ],
    )


def write_texts(rows: int, folder: Path, seed: int = 0) -> Path:
    """The texts as Parquet, the same for the same number of rows."""
    draw = np.random.default_rng(seed)
    own = round(rows * (1 - SHARE_NEAR))
    ranks = np.arange(1, VOCABULARY + 1) ** -1.0
    words = draw.choice(VOCABULARY, (own, 58), p=ranks / ranks.sum()).astype(np.uint16)
    length = draw.integers(40, 59, own)
    source = draw.integers(0, own, rows - own)
    near, near_length = words[source], length[source]
    for change in range(4):
        chosen = np.flatnonzero(draw.integers(1, 5, len(near)) > change)
        near[chosen, draw.integers(0, near_length[chosen])] = draw.integers(0, VOCABULARY, len(chosen))
    words, length = np.concatenate([words, near]), np.concatenate([length, near_length])
    order = draw.permutation(rows)
    names = np.array([f"w{i}" for i in range(VOCABULARY)])
    texts = [" ".join(names[words[i, : length[i]]]) for i in order]
    file = folder / f"texts-{rows}.parquet"
    pl.DataFrame({"text": texts}).write_parquet(file)
    return file


def run(command: Sequence[str], folder: Path) -> dict[str, Any] | None:
    """Run a module that leaves told.json in `folder`; None where what it needs is not installed."""
    own = {**os.environ, "PYTHONPATH": os.getcwd(), "TOKENIZERS_PARALLELISM": "false"}
    ended = subprocess.run(command, capture_output=True, text=True, env=own, check=False)
    if "ModuleNotFoundError" in ended.stderr:
        return None
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])} ended with exit code {ended.returncode}:\n{ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return told


def find(name: str, file: Path, folder: Path, python: str = sys.executable) -> Told | None:
    told = run([python, "-m", "tests.benchmarks.finders", name, str(file), str(folder)], folder)
    return told and Told(told["seconds"], told["peak"], np.load(folder / "found.npy"))


def brute_force(texts: Sequence[str], sample: Sequence[int]) -> set[tuple[int, int]]:
    """The pairs of a row of `sample` with any row, from the overlap of every two sets that have one; no filter."""
    holders: dict[str, list[int]] = {}
    sizes = {row: len(shingles(texts[row])) for row in sample}
    for row in sample:
        for shingle in shingles(texts[row]):
            holders.setdefault(shingle, []).append(row)
    pairs = set()
    for other, text in enumerate(texts):
        overlap: dict[int, int] = {}
        mine = shingles(text)
        for shingle in mine & holders.keys():
            for row in holders[shingle]:
                overlap[row] = overlap.get(row, 0) + 1
        for row, both in overlap.items():
            if row != other and 10 * both >= round(10 * THRESHOLD) * (sizes[row] + len(mine) - both):
                pairs.add((min(row, other), max(row, other)))
    return pairs


def dropped(pairs: Any) -> set[int]:
    """The rows that go if of rows that are alike the first stays."""
    gone: set[int] = set()
    for first, second in sorted(map(tuple, pairs.tolist()), key=lambda pair: (pair[1], pair[0])):
        if first not in gone:
            gone.add(second)
    return gone


def _beside_peers(rows: int, largest: bool, python: str, folder: Path) -> tuple[list[Figure], list[str]]:
    file = write_texts(rows, folder)
    ours = find("assay", file, folder)
    assert ours is not None
    texts = pl.read_parquet(file)["text"].to_list()
    sample = np.random.default_rng(1).choice(rows, min(SAMPLE, rows), replace=False).tolist()
    truth, chosen = brute_force(texts, sample), set(sample)
    said = {(a, b) for a, b in ours.found.tolist() if a in chosen or b in chosen}
    memory = (f"under {PEAK_BYTES / GB:g} GB", ours.peak < PEAK_BYTES) if largest else ("", None)
    figures = [
        Figure(f"{rows:,} rows: ours", f"{ours.seconds:.1f} s, {len(ours.found):,} pairs"),
        Figure(f"{rows:,} rows: ours, peak memory", f"{ours.peak / GB:.2f} GB", *memory),
        Figure(
            f"{rows:,} rows: ours, by brute force",
            _agreement(truth, said, "pairs of the sample"),
            "recall and precision 100 %",
            truth == said,
        ),
    ]
    notes = []
    everything, gone = set(map(tuple, ours.found.tolist())), dropped(ours.found)
    for name in list(FINDERS)[1:]:
        if rows > SLOW.get(name, rows):
            continue
        peer = find(name, file, folder, python)
        if peer is None:
            notes.append(f"{name} is not installed, so it was not measured.")
            continue
        print(f"  {rows:,} rows, {name}: {peer.seconds:.1f} s", flush=True)
        figures.append(_peer(rows, name, peer, ours, everything, gone))
    return figures, list(dict.fromkeys(notes))


def _peer(rows: int, name: str, peer: Told, ours: Told, everything: set[tuple[int, int]], gone: set[int]) -> Figure:
    pairs = peer.found.ndim == 2
    found = set(map(tuple, peer.found.tolist())) if pairs else set(peer.found.tolist())
    share = ours.seconds / peer.seconds
    agreed = _agreement(everything if pairs else gone, found, "pairs" if pairs else "rows dropped")
    told = f"{peer.seconds:.1f} s, {peer.peak / GB:.2f} GB, {agreed}; ours takes {share:.2f} of its time"
    aim = (f"ours at most {TIMES:g} of it", share <= TIMES) if name == "gaoya" else ("", None)
    return Figure(f"{rows:,} rows: {name}", told, *aim)


def _agreement(truth: set[Any], found: set[Any], what: str) -> str:
    both = len(truth & found)
    return f"recall {both / max(len(truth), 1):.1%}, precision {both / max(len(found), 1):.1%} ({len(truth):,} {what})"


def _grown(rows: int, folder: Path) -> Figure:
    told = find("assay", write_texts(rows, folder, seed=2), folder)
    assert told is not None
    (folder / f"texts-{rows}.parquet").unlink()
    each = f"{1e6 * told.seconds / rows:.1f} s and {told.peak / rows / 1e3:.1f} GB a million rows"
    return Figure(f"{rows:,} rows: ours as they grow", f"{told.seconds:.1f} s, {told.peak / GB:.2f} GB ({each})")


def _hostile(shape: str, rows: int, folder: Path) -> list[Figure]:
    told = run([sys.executable, "-m", "tests.benchmarks.hostile", shape, str(rows), str(folder)], folder) or {}
    return [
        Figure(
            f"hostile: {shape}, {rows:,} rows: {step}",
            f"{step_told['seconds']:.1f} s, {step_told['peak'] / GB:.2f} GB, {step_told['kept']:,} kept",
            f"under {HOSTILE_SECONDS} s and {PEAK_BYTES / GB:g} GB",
            step_told["seconds"] < HOSTILE_SECONDS and step_told["peak"] < PEAK_BYTES,
        )
        for step, step_told in told.items()
    ]


def _shapes() -> str:
    return (
        "one shingle in every row (signature), copies of one row, one text with three words changed (variants), one "
        "row of "
        "10 MB (large), all rows empty."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--growth", type=int, nargs="*", default=GROWTH)
    parser.add_argument("--hostile-rows", type=int, default=HOSTILE_ROWS)
    parser.add_argument("--peers", default=sys.executable)
    given = parser.parse_args()
    print(measure(given.sizes, given.growth, given.hostile_rows, given.peers).markdown())
