"""`make bench-quality DATA=folder`: what curation finds of defects planted in real rows, and in real sets as they are.

Clean rows are those that curation keeps and leaves as they are, so that what is wrong with the data by nature is no false
alarm. In these, defects are planted with a fixed seed, and curation is run again: its row steps as plain functions in the
order of flows/curate.py, at their defaults. Decoys look like a defect and are none (card numbers with a wrong check digit,
prompts just below the threshold, answers that begin like a refusal and then help).
The tables are printed; missed defects, false alarms and examples of the real sets go to a folder outside the repository.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import polars as pl

from tasks.core.answer import AnswerSettings
from tasks.core.settings import DatasetKind
from tasks.format import FormatSettings
from tasks.label_errors import LabelErrorSettings, label_errors
from tests.benchmarks import quality_defects as make
from tests.benchmarks.curating import Plan, Run, curated, ingested, pair, write
from tests.benchmarks.planting import harm, plant, score
from tests.benchmarks.quality_defects import Defect, Row
from tests.benchmarks.table import Figure, Section

SEED, RATE, NOISE = 20, 0.03, 0.1
HOLDOUT = 600  # rows of the clean ones that judge, and are leaked
SHOWN = 20
AIM, LABEL_AIM = 0.95, 0.8
SFT, LABELLED = Plan(DatasetKind()), Plan(DatasetKind(name="classification"))
FIELDS = {"intent": {"type": "string"}, "topic": {"type": "string"}}
SCHEMA = {"type": "object", "additionalProperties": False, "required": [*FIELDS], "properties": FIELDS}
JSON_ANSWERS = Plan(
    DatasetKind(), AnswerSettings(json_schema=SCHEMA, label="intent"), FormatSettings(rename={"category": "intent"})
)
DUPLICATE = "dedupe: exact duplicate"
NONE = pl.DataFrame()


def texts_of(file: Path, plan: Plan) -> list[Row]:
    rows = ingested(file, plan).kept.sort("line")
    return [pair(messages) for messages in rows["messages"]]


class Bench:
    """One measurement: its data, and the folder for what is to be looked at."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder

    def run(self, rows: list[Row], plan: Plan, judges: list[Row], name: str) -> Run:
        judging = ingested(write(judges, plan, self.folder / "judges.jsonl"), plan).kept if judges else NONE
        return curated(write(rows, plan, self.folder / f"{name}.jsonl"), plan, judging)

    def clean(self, rows: list[Row], plan: Plan, name: str) -> tuple[list[Row], list[Row]]:
        """(base, holdout): of the rows that curation keeps as they are, HOLDOUT for judging, without any leak."""
        once = self.run(rows, plan, [], name)
        touched = once.events()
        kept = [row for line, row in sorted(once.texts().items()) if line not in touched]
        Random(SEED).shuffle(kept)
        holdout, rest = kept[:HOLDOUT], kept[HOLDOUT:]
        ledger = self.run(rest, plan, holdout, name).ledger
        leaks = set(ledger.filter(pl.col("step") == "decontaminate")["line"])
        return [row for line, row in enumerate(rest, 1) if line not in leaks], holdout

    def planted(
        self, title: str, rows: list[Row], plan: Plan, name: str, defects: list[Defect], decoys: list[Defect]
    ) -> Section:
        """Plant and curate. name: of the files left to look at."""
        base, holdout = self.clean(rows, plan, name)
        lines = plant(base, holdout, [*defects, *decoys], RATE, SEED)
        run = self.run([line.row for line in lines], plan, holdout, name)
        scores = score(lines, run, defects)
        harmed, events = harm(lines, run, decoys), run.events()
        self.show(name, [
            *(("missed", s.defect.name, events.get(i), lines[i - 1]) for s in scores for i in s.missed),
            *(("false alarm", s.defect.name, events.get(i), lines[i - 1]) for s in scores for i in s.false),
            *(("wrongly gone", "", events.get(i), lines[i - 1]) for i in [*harmed.gone, *harmed.fooled]),
        ])  # fmt: skip
        why = Counter(told for i in [*harmed.gone, *harmed.fooled] for told in events[i])
        return Section(
            title,
            f"{len(rows):,} rows, of which {len(base):,} stay as clean ones and {len(holdout)} more judge. "
            f"Each defect is planted in {RATE:.0%} of the rest: recall of the defects, precision of the rows said to have it.",
            [
                *(s.figures() for s in scores),
                Figure("clean rows wrongly gone", f"{len(harmed.gone) / harmed.clean:.2%} of {harmed.clean:,}"),
                Figure("decoys gone or changed", f"{len(harmed.fooled)} of {harmed.decoys}"),
            ],
            ["Of these two, by reason: " + "; ".join(f"{told}, {n}" for told, n in sorted(why.items())) + "."] if why else [],
        )

    def show(self, name: str, found: list[tuple[object, ...]]) -> None:
        told = "\n".join(json.dumps([str(part) for part in one], ensure_ascii=False) for one in found)
        (self.folder / f"{name}-look.jsonl").write_text(told, encoding="utf-8")

    # ------------------------------------------------------------ what is planted

    def conversations(self) -> Section:
        rows = texts_of(self.data / "alpaca_claude_t45.json", SFT)
        answers = [said for _, said in rows if said.strip()]
        defects = [
            Defect("exact duplicate", make.exact, (DUPLICATE,), copy=True, aim=AIM),
            Defect("near duplicate", make.near, (DUPLICATE, "dedupe: near duplicate"), copy=True, aim=AIM),
            Defect("conflict: same prompt, other answer", make.answered_by(answers), ("conflicts",), copy=True, aim=AIM),
            *(Defect(f"PII: {kind}", make.personal(kind), ("redact",), mend="redacted", aim=AIM) for kind in make.VALUES),
            Defect("truncated answer", make.cut, ("filter: answer is cut off",), aim=AIM),
            Defect("truncated answer, 20 words or more left", make.cut_long, ("filter: answer is cut off",)),
            Defect("leaked holdout row", make.leaked, ("decontaminate",), copy=True, holdout=True),
            Defect("refusal or boilerplate", make.refused, ("filter: boilerplate answer",)),
            Defect("echo of the prompt", make.echo, ("filter: answer repeats the prompt",)),
            Defect("answer in a loop", make.loop, ("filter: answer repeats itself",)),
            Defect("empty answer", make.empty, ("filter",)),
            Defect("HTML", make.html, ("clean",), mend="same"),
            Defect("mojibake", make.mojibake, ("clean",), mend="same"),
        ]
        decoys = [
            Defect("decoy: numbers that are nobody's", make.impersonal, ()),
            Defect("decoy: refuses, then helps", make.helps_after_all, ()),
            Defect("decoy: below the threshold", make.near_miss, (), copy=True),
        ]
        return self.planted("Planted in conversations (alpaca_claude_t45)", rows, SFT, "sft", defects, decoys)

    def labelled(self) -> Section:
        rows = texts_of(self.data / "banking77_train.csv", LABELLED)
        labels = sorted({said for _, said in rows})
        defects = [
            Defect("exact duplicate", make.exact, (DUPLICATE,), copy=True, aim=AIM),
            Defect("near duplicate", make.near, (DUPLICATE, "dedupe: near duplicate"), copy=True, aim=AIM),
            Defect("conflict: same text, other label", make.answered_by(labels), ("conflicts",), copy=True, aim=AIM),
            Defect("conflict: nearly the same text", make.near_answered_by(labels), ("conflicts",), copy=True, aim=AIM),
            Defect("format: a label spelled otherwise", make.spelled, ("format",), mend="same", aim=AIM),
            Defect("leaked holdout row", make.leaked, ("decontaminate",), copy=True, holdout=True),
            Defect("HTML", make.html, ("clean",), mend="same"),
        ]
        decoys = [Defect("decoy: numbers that are nobody's", make.impersonal, ())]
        return self.planted("Planted in labelled texts (banking77_train)", rows, LABELLED, "labelled", defects, decoys)

    def json_answers(self) -> Section:
        texts = texts_of(self.data / "banking77_train.csv", LABELLED)
        rows = [(text, json.dumps({"intent": label, "topic": label.split("_")[0]})) for text, label in texts]
        defects = [
            Defect("format: convertible without loss", make.lossless, ("format",), mend="same", aim=AIM),
            Defect("format: not convertible", make.lossy, ("format",), aim=AIM),
        ]
        return self.planted("Planted in JSON answers (banking77_train)", rows, JSON_ANSWERS, "json", defects, [])

    def wrong_labels(self) -> Section:
        raw = texts_of(self.data / "banking77_train.csv", LABELLED)
        labels = sorted({said for _, said in raw})
        base = [row for part in self.clean(raw, LABELLED, "labels") for row in part]
        figures = [
            self._wrong(base, make.mislabelled(labels), f"{NOISE:.0%} any other label, clean rows", LABEL_AIM),
            self._wrong(base, make.confused(labels), f"{NOISE:.0%} the label with the most words in common, clean rows", 0),
            self._wrong(raw, make.mislabelled(labels), f"{NOISE:.0%} any other label, all rows, natural errors and all", 0),
        ]
        how = f"label_errors alone, at its defaults, on banking77_train; clean: {len(base):,} of {len(raw):,} rows."
        return Section("Wrong labels", how, figures)

    def _wrong(self, rows: list[Row], wrong: make.Make, name: str, aim: float) -> Figure:
        defect = Defect(name, wrong, ("label_errors",), aim=aim)
        lines = plant(rows, [], [defect], NOISE, SEED)
        read = ingested(write([line.row for line in lines], LABELLED, self.folder / "wrong.jsonl"), LABELLED)
        done = label_errors(read.kept, LabelErrorSettings(), LABELLED.answer, LABELLED.kind)
        return score(lines, Run(read.kept, done.kept, done.ledger), [defect])[0].figures()

    # ------------------------------------------------------------ as they are

    def untouched(self, file: str, plan: Plan, judges: list[Row]) -> Section:
        judging = ingested(write(judges, plan, self.folder / "judges.jsonl"), plan).kept if judges else NONE
        run = curated(self.data / file, plan, judging)
        told = run.ledger.filter(pl.col("action") != "kept")
        counts = told.group_by("step", "action", "reason").agg(pl.col("row_id").n_unique()).sort("step", "action", "reason")
        texts = {row_id: pair(messages) for row_id, messages in run.raw.select("row_id", "messages").iter_rows()}
        after = {row_id: pair(messages) for row_id, messages in run.kept.select("row_id", "messages").iter_rows()}
        shown: list[tuple[object, ...]] = []
        for (step, reason), group in told.sort("row_id").group_by("step", "reason", maintain_order=True):
            for row_id, evidence in group.select("row_id", "evidence").head(SHOWN).iter_rows():
                about = json.loads(evidence)
                other = texts.get(about.get("partner") or about.get("kept") or "")
                shown.append((step, reason, evidence, texts.get(row_id), other or after.get(row_id)))
        self.show(file, shown)
        figures = [Figure(f"{step}: {reason}", f"{rows:,} {action}") for step, action, reason, rows in counts.iter_rows()]
        how = f"{run.raw.height:,} rows read, {run.kept.height:,} kept, {run.kept.height / run.raw.height:.1%}."
        return Section(f"As it is: {file}", how, figures)

    def judges(self) -> list[Row]:
        """The self-instruct test questions with their inputs and answers."""
        with (self.data / "sinstruct_test.jsonl").open(encoding="utf-8") as lines:
            asked = [(one["instruction"], case) for one in map(json.loads, lines) for case in one["instances"]]
        return [(f"{said}\n{case['input']}".strip(), case["output"]) for said, case in asked]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-quality")
    parser.add_argument("data", type=Path, help="folder with alpaca_claude_t45.json, banking77_train.csv and the others")
    folder = Path(tempfile.mkdtemp(prefix="assay-quality-"))
    bench = Bench(parser.parse_args().data.resolve(), folder)
    print(f"What is to be looked at by eye: {folder}", flush=True)
    for part in (bench.conversations, bench.labelled, bench.json_answers, bench.wrong_labels):
        print(part().markdown() + "\n", flush=True)
    test = texts_of(bench.data / "banking77_test.csv", LABELLED)
    for file, plan, judges in (
        ("sms_spam.tsv", LABELLED, []), ("banking77_train.csv", LABELLED, test), ("alpaca_random_9k.json", SFT, bench.judges()),
    ):  # fmt: skip
        print(bench.untouched(file, plan, judges).markdown() + "\n", flush=True)


if __name__ == "__main__":
    main()
