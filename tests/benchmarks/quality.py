"""`make bench-quality DATA=folder`: what curation finds of defects planted in real rows, and in real sets as they are.

Curation's row steps are run as plain functions in the order of flows/curate.py, at their defaults (curating.py). The
tables go to QUALITY.md; missed defects, false alarms and examples of what was found to a folder outside the repository.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from tests.benchmarks.curating import Plan, curated, ingested, pair, write
from tests.benchmarks.quality_defects import Row
from tests.benchmarks.quality_planted import LABELLED, NONE, SFT, Bench, read
from tests.benchmarks.table import Figure, Section

FILE, BY_EYE = Path(__file__).with_name("QUALITY.md"), "## Looked at by eye"
SHOWN = 20  # examples of each reason


def untouched(bench: Bench, file: str, plan: Plan, heldout: list[Row]) -> Section:
    judging = ingested(write(heldout, plan, bench.folder / "judges.jsonl"), plan).kept if heldout else NONE
    run = curated(bench.data / file, plan, judging)
    told = run.ledger.filter(pl.col("action") != "kept")
    counts = told.group_by("step", "action", "reason").agg(pl.col("row_id").n_unique()).sort("step", "action", "reason")
    before = {row_id: pair(messages) for row_id, messages in run.raw.select("row_id", "messages").iter_rows()}
    after = {row_id: pair(messages) for row_id, messages in run.kept.select("row_id", "messages").iter_rows()}
    shown: list[tuple[object, ...]] = []
    for (step, reason), group in told.sort("row_id").group_by("step", "reason", maintain_order=True):
        for row_id, evidence in group.select("row_id", "evidence").head(SHOWN).iter_rows():
            about = json.loads(evidence)
            other = before.get(about.get("partner") or about.get("kept") or "")
            shown.append((step, reason, evidence, before.get(row_id), other or after.get(row_id)))
    bench.show(file, shown)
    figures = [Figure(f"{step}: {reason}", f"{rows:,} {action}") for step, action, reason, rows in counts.iter_rows()]
    how = f"{run.raw.height:,} rows read, {run.kept.height:,} kept, {run.kept.height / run.raw.height:.1%}."
    return Section(f"As it is: {file}", how, figures)


def self_instruct(data: Path) -> list[Row]:
    """The self-instruct test questions with their inputs and answers."""
    with (data / "sinstruct_test.jsonl").open(encoding="utf-8") as lines:
        asked = [(one["instruction"], case) for one in map(json.loads, lines) for case in one["instances"]]
    return [(f"{said}\n{case['input']}".strip(), case["output"]) for said, case in asked]


def document(sections: list[Section]) -> str:
    """QUALITY.md: the tables, and below them what people wrote of what they saw, which stays."""
    seen = FILE.read_text(encoding="utf-8").partition(BY_EYE)[2] if FILE.exists() else "\n"
    head = (
        f"# Quality of curation\n\nMeasured on {datetime.now(UTC):%Y-%m-%d} by `make bench-quality DATA=folder`, "
        f"which makes "
        "the tables again (about three minutes); quality_planted.py tells how they come about. Only rows that a first "
        "curation "
        "keeps and leaves as they are get defects, so natural ones are no false alarms.\n\n"
        "Of each defect: recall with its 95 % interval (Wilson) and how many were planted, precision and how many "
        "rows the "
        "ledger gives its reason. Kinds that share a reason (all personal data; near and exact duplicates; conflicts; "
        "format; "
        "truncated answers) share its precision. A copy is found when it or its twin is. Met and missed are said of "
        "the values "
        "alone."
    )
    return "\n\n".join([head, *(section.markdown() for section in sections), BY_EYE]) + seen


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-quality")
    parser.add_argument(
        "data", type=Path, help="folder with alpaca_claude_t45.json, banking77_train.csv and the others"
    )
    folder = Path(tempfile.mkdtemp(prefix="assay-quality-"))
    bench = Bench(parser.parse_args().data.resolve(), folder)
    parts = (bench.conversations, bench.truncated, bench.labelled, bench.json_answers, bench.wrong_labels)
    sections = [part() for part in parts]
    test = read(bench.data / "banking77_test.csv", LABELLED)
    sections += [
        untouched(bench, "sms_spam.tsv", LABELLED, []),
        untouched(bench, "banking77_train.csv", LABELLED, test),
        untouched(bench, "alpaca_random_9k.json", SFT, self_instruct(bench.data)),
    ]
    print("\n\n".join(section.markdown() for section in sections))
    FILE.write_text(document(sections), encoding="utf-8")
    print(f"\nWritten to {FILE}\nWhat is to be looked at by eye: {folder}")


if __name__ == "__main__":
    main()
