"""`make bench`: run every benchmark, print each table, and write RESULTS.md beside this file."""

from __future__ import annotations

from pathlib import Path

from flows.servers import environment
from tests.benchmarks import demo, million, near_duplicates, training
from tests.benchmarks.table import document

RESULTS = Path(__file__).with_name("RESULTS.md")
PARTS = (
    ("the demo, twice", demo),
    ("training", training),
    ("near-duplicates", near_duplicates),
    ("a million rows curated", million),
)


def main() -> None:
    """The demo first: it is the longer one, and the first to fail when something is broken."""
    environment.prepare()
    sections = []
    for title, part in PARTS:
        print(f"Measuring {title}", flush=True)
        sections.append(part.measure())
        print(sections[-1].markdown() + "\n", flush=True)
    RESULTS.write_text(document(sections), encoding="utf-8")
    print(f"Written to {RESULTS}")


if __name__ == "__main__":
    main()
