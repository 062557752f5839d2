"""Planted truth: clean real rows with defects of known kinds in them, curated, and what was found of each kind.

Clean rows are those that curation keeps and leaves as they are, so that what is wrong with the data by nature is no
false alarm. In these, defects are planted with a fixed seed, and curation is run again at its defaults. Decoys look
like a defect and are none: card numbers with a wrong check digit, prompts just below the threshold, answers that begin
like a refusal and help.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import polars as pl

from tasks.core import row_kind
from tasks.curation.clean import CleanSettings, clean
from tasks.curation.filter import FilterSettings, filter_rows
from tasks.curation.format import FormatSettings
from tasks.curation.label_errors import LabelErrorSettings, label_errors
from tasks.metrics.answer_schema import AnswerSettings
from tests.benchmarks import quality_defects as make
from tests.benchmarks import quality_texts as texts
from tests.benchmarks.curating import Plan, Run, curated, ingested, pair, write
from tests.benchmarks.planting import Score, harm, plant, score
from tests.benchmarks.quality_defects import Defect, Row
from tests.benchmarks.table import Figure, Section

SEED, RATE, NOISE = 20, 0.03, 0.1
TIMES = 3  # that answers are cut off, each with a seed of its own: 138 of them leave five points of doubt
HOLDOUT = 600  # rows of the clean ones that judge, and are leaked
AIM, LABEL_AIM = 0.95, 0.8
SFT, LABELLED, PAIRS = Plan(row_kind.SFT), Plan(row_kind.CLASSIFICATION), Plan(row_kind.PREFERENCE)
FIELDS = {"intent": {"type": "string"}, "topic": {"type": "string"}}
SCHEMA = {"type": "object", "additionalProperties": False, "required": [*FIELDS], "properties": FIELDS}
JSON_ANSWERS = Plan(
    row_kind.SFT, AnswerSettings(json_schema=SCHEMA, label="intent"), FormatSettings(rename={"category": "intent"})
)
DUPLICATE = "dedupe: exact duplicate"
NONE = pl.DataFrame()


def read(file: Path, plan: Plan) -> list[Row]:
    rows = ingested(file, plan).kept.sort("line")
    return [pair(messages) for messages in rows["messages"]]


class Bench:
    """One measurement: its data, and the folder for what is to be looked at."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder

    def run(self, rows: list[Row], plan: Plan, heldout: list[Row], name: str) -> Run:
        judging = ingested(write(heldout, plan, self.folder / "judges.jsonl"), plan).kept if heldout else NONE
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
        self.show(
            name,
            [
                *(("missed", s.defect.name, events.get(i), lines[i - 1]) for s in scores for i in s.missed),
                *(("false alarm", s.defect.name, events.get(i), lines[i - 1]) for s in scores for i in s.false),
                *(("wrongly gone", "", events.get(i), lines[i - 1]) for i in [*harmed.gone, *harmed.fooled]),
            ],
        )
        why = Counter(told for i in [*harmed.gone, *harmed.fooled] for told in events[i])
        gone = run.gone()
        otherwise = {
            s.defect.name: n for s in scores if s.defect.mend == "go" and (n := len(gone.intersection(s.missed)))
        }
        return Section(
            title,
            f"{len(rows):,} rows, of which {len(base):,} stay as clean ones and {len(holdout)} more judge. "
            f"Each defect is planted in {RATE:.0%} of the rest: recall of the defects, precision of the rows said to "
            f"have it.",
            [
                *(s.figures() for s in scores),
                Figure("clean rows wrongly gone", f"{len(harmed.gone) / harmed.clean:.2%} of {harmed.clean:,}"),
                *([Figure("decoys gone or changed", f"{len(harmed.fooled)} of {harmed.decoys}")] if decoys else []),
            ],
            [
                *([f"Gone or changed without a defect, by reason: {_counts(why)}."] if why else []),
                *([f"Missed for their reason, but gone for another: {_counts(otherwise)}."] if otherwise else []),
            ],
        )

    def show(self, name: str, found: list[tuple[object, ...]]) -> None:
        told = "\n".join(json.dumps([str(part) for part in one], ensure_ascii=False) for one in found)
        (self.folder / f"{name}-look.jsonl").write_text(told, encoding="utf-8")

    # ------------------------------------------------------------ what is planted

    def conversations(self) -> Section:
        rows = read(self.data / "alpaca_claude_t45.json", SFT)
        defects = [
            Defect("exact duplicate", make.exact, (DUPLICATE,), copy=True, aim=AIM),
            Defect("near duplicate", make.near, (DUPLICATE, "dedupe: near duplicate"), copy=True, aim=AIM),
            Defect("conflict: same prompt, another number", make.another_number, ("conflicts",), copy=True, aim=AIM),
            *(
                Defect(f"PII: {kind}", make.personal(kind), ("redact",), mend="redacted", aim=AIM)
                for kind in make.VALUES
            ),
            Defect("truncated answer", texts.cut, ("filter: answer is cut off",), aim=AIM),
            Defect("truncated answer, 20 words or more left", texts.cut_long, ("filter: answer is cut off",)),
            Defect("leaked holdout row", make.leaked, ("decontaminate",), copy=True, holdout=True),
            Defect("refusal or boilerplate", texts.refused, ("filter: boilerplate answer",)),
            Defect("echo of the prompt", texts.echo, ("filter: answer repeats the prompt",)),
            Defect("answer in a loop", texts.loop, ("filter: answer repeats itself",)),
            Defect("empty answer", texts.empty, ("filter: empty answer",)),
            Defect("HTML", texts.html, ("clean",), mend="same"),
            Defect("mojibake", texts.mojibake, ("clean",), mend="same"),
        ]
        decoys = [
            Defect("decoy: numbers that are nobody's", make.impersonal, ()),
            Defect("decoy: refuses, then helps", texts.helps_after_all, ()),
            Defect("decoy: below the threshold", make.near_miss, (), copy=True),
        ]
        return self.planted("Planted in conversations (alpaca_claude_t45)", rows, SFT, "sft", defects, decoys)

    def truncated(self) -> Section:
        cut_off = ("filter: answer is cut off",)
        defects = [
            Defect("cut anywhere", texts.cut, cut_off, aim=AIM),
            Defect("but at the end of a line", texts.cut_within, cut_off),
            Defect("20 words or more left", texts.cut_long, cut_off),
        ]
        figures = []
        for name, plan in (("alpaca_claude_t45", SFT), ("alpaca_random_9k", SFT), ("dpo_en_demo", PAIRS)):
            rows = read(self.data / f"{name}.json", plan)
            kept = self._filtered(rows).texts()
            whole = [row for line, row in enumerate(rows, 1) if kept.get(line) == row]
            times = zip(*(self._cut_off(whole, defects, SEED + i) for i in range(TIMES)), strict=True)
            figures += [replace(Score.sum(one).figures(), what=f"{name}: {one[0].defect.name}") for one in times]
        how = (
            f"Each in {RATE:.0%} of the rows that clean and filter leave as they are, {TIMES} times with another "
            f"seed, and "
            "nothing else. At the end of a line: what is left of a list or a poem is one that is whole. Of "
            "dpo_en_demo the "
            "chosen answers."
        )
        return Section("Truncated answers", how, figures)

    def _cut_off(self, whole: list[Row], defects: list[Defect], seed: int) -> list[Score]:
        lines = plant(whole, [], defects, RATE, seed)
        return score(lines, self._filtered([line.row for line in lines]), defects)

    def _filtered(self, rows: list[Row]) -> Run:
        read = ingested(write(rows, SFT, self.folder / "filtered.jsonl"), SFT)
        done = filter_rows(clean(read.kept, CleanSettings()).kept, FilterSettings(), SFT.kind)
        return Run(read.kept, done.kept, done.ledger)

    def labelled(self) -> Section:
        rows = read(self.data / "banking77_train.csv", LABELLED)
        labels = sorted({said for _, said in rows})
        defects = [
            Defect("exact duplicate", make.exact, (DUPLICATE,), copy=True, aim=AIM),
            Defect("near duplicate", make.near, (DUPLICATE, "dedupe: near duplicate"), copy=True, aim=AIM),
            Defect("conflict: same text, other label", make.answered_by(labels), ("conflicts",), copy=True, aim=AIM),
            Defect("conflict: nearly the same text", make.near_answered_by(labels), ("conflicts",), copy=True, aim=AIM),
            Defect("format: a label spelled otherwise", texts.spelled, ("format",), mend="same", aim=AIM),
            Defect("leaked holdout row", make.leaked, ("decontaminate",), copy=True, holdout=True),
            Defect("HTML", texts.html, ("clean",), mend="same"),
        ]
        decoys = [Defect("decoy: numbers that are nobody's", make.impersonal, ())]
        return self.planted("Planted in labelled texts (banking77_train)", rows, LABELLED, "labelled", defects, decoys)

    def json_answers(self) -> Section:
        labelled = read(self.data / "banking77_train.csv", LABELLED)
        rows = [(text, json.dumps({"intent": label, "topic": label.split("_")[0]})) for text, label in labelled]
        defects = [
            Defect("format: convertible without loss", texts.lossless, ("format",), mend="same", aim=AIM),
            Defect("format: not convertible", texts.lossy, ("format",), aim=AIM),
        ]
        return self.planted("Planted in JSON answers (banking77_train)", rows, JSON_ANSWERS, "json", defects, [])

    def wrong_labels(self) -> Section:
        raw = read(self.data / "banking77_train.csv", LABELLED)
        labels = sorted({said for _, said in raw})
        base = [row for part in self.clean(raw, LABELLED, "labels") for row in part]
        figures = [
            self._wrong(base, texts.mislabelled(labels), f"{NOISE:.0%} any other label, clean rows", LABEL_AIM),
            self._wrong(
                base, texts.confused(labels), f"{NOISE:.0%} the label with the most words in common, clean rows", 0
            ),
            self._wrong(
                raw, texts.mislabelled(labels), f"{NOISE:.0%} any other label, all rows, natural errors and all", 0
            ),
        ]
        how = f"label_errors alone, where it may act, on banking77_train; clean: {len(base):,} of {len(raw):,} rows."
        return Section("Wrong labels", how, figures)

    def _wrong(self, rows: list[Row], wrong: make.Make, name: str, aim: float) -> Figure:
        defect = Defect(name, wrong, ("label_errors",), aim=aim)
        lines = plant(rows, [], [defect], NOISE, SEED)
        read = ingested(write([line.row for line in lines], LABELLED, self.folder / "wrong.jsonl"), LABELLED)
        done = label_errors(read.kept, LabelErrorSettings(policy="quarantine"), LABELLED.answer, LABELLED.kind)
        return score(lines, Run(read.kept, done.kept, done.ledger), [defect])[0].figures()


def _counts(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{name}, {n}" for name, n in sorted(counts.items()))
