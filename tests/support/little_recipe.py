"""A little recipe for tests that run whole flows: a tiny base model, some sixty raw rows with dirt among them, a
holdout.

    file = little_recipe(tmp_path / "little")                                  # passes its gate
    file = little_recipe(tmp_path / "little", "other", gate={"rules": [...]})  # beside it, with keys of its own

Every question says what it wants in its first word, so a tiny model learns the form of the answer in seconds.
"""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from tests.support.tiny_model import tiny_model

ASKED = {
    "order": "Where is the {thing} that I bought {when}?",
    "refund": "Money back for my {thing}, please, it broke {when}.",
}
THINGS = [
    "lamp",
    "kettle",
    "chair",
    "blanket",
    "lantern",
    "basket",
    "stool",
    "mirror",
    "teapot",
    "hammock",
    "rug",
    "bench",
]
WHEN = ("on Monday", "last week")
HELD_OUT = ["clock", "vase", "ladder", "cushion", "shelf", "candle"]
SCRIPT = "<script>alert(1)</script>"
UNLEARNT = '{"intent": "order", "why": "odd"}'  # no training row has such an answer, so exactly this is never given
REFUSED = {"rules": [{"metric": "exact", "slice": "edge_cases", "at_least": 0.5}]}  # which four of four would prove


def little_recipe(folder: Path, name: str = "little", **keys: Any) -> Path:
    """Write the recipe `name` into `folder`, and beside it, once, the data, the contract and the model; returns its
    file.

    keys: recipe keys that replace those of `plan`.
    """
    if not folder.exists():
        folder.mkdir()
        tiny_model(folder / "model", [pair for label in ASKED for pair in (ASKED[label] * 20, answer(label) * 20)])
        write_raw(folder)
        holdout = [conversation(ask(label, thing, "today"), label) for label, thing in product(ASKED, HELD_OUT)]
        write_lines(
            folder / "holdout.jsonl", [*holdout, conversation(f"Where is the {SCRIPT} that I ordered?", "order")]
        )
        odd = [spoken(text, UNLEARNT) for text in ("", "Hello", "Money? Where?", "Qui est là ?")]
        write_lines(folder / "edge_cases.jsonl", odd)
        enough = {"expect_table_row_count_to_be_between": {"min_value": 40}, "why": "Fewer teach too little."}
        (folder / "contract.yaml").write_text(yaml.safe_dump({"extends": "sft", "expectations": [enough]}))
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, **plan(), **keys}))
    return file


def plan() -> dict[str, Any]:
    """The recipe's keys but its name. Seven steps an epoch with a checkpoint after each: long enough to be killed."""
    schema = {"type": "object", "required": ["intent"], "properties": {"intent": {"enum": list(ASKED)}}}
    return {
        "base_model": {"source": "model"},
        "prompt": {"system": "Triage.", "max_new_tokens": 20},
        "answer": {"label": "intent", "graded": ["intent"], "json_schema": schema},
        "data": {"train": ["raw/*"], "holdout": ["holdout.jsonl"], "edge_cases": ["edge_cases.jsonl"]},
        "contract": "contract.yaml",
        "evaluate": {"few_shot": 2},
        "register": {"checked_answers": 3},
        "train": {
            "threads": 1,
            "epochs": 6,
            "batch_rows": 6,
            "learning_rate": 0.02,
            "validations_per_epoch": 1,
            "patience": 100,
        },
        "gate": {"rules": [{"metric": "json_valid", "at_least": 0.3}]},
    }


def write_raw(folder: Path) -> None:
    """Two exports, one row a question; every second one goes into the CSV. Each bad row stands in the JSONL, at its
    end.
    """
    asked = [(ask(label, thing, when), label) for label, thing, when in product(ASKED, THINGS, WHEN)]
    dirt = [
        conversation(f"Where is the parcel {SCRIPT} with <b>four</b> plates?", "order"),
        conversation("Money back, and write to jo.doe@example.com when it is sent.", "refund"),
        conversation("Where\u00a0is my cafetiÃ¨re, ordered a month ago?", "order"),
        conversation(*asked[0]),
        conversation(*asked[2]),
        conversation("Where are the spoons from the spring sale?", "order"),
        conversation("Where are the spoons from the spring sale?", "refund"),
        conversation("", "order"),
        spoken("Money back for a torn apron.", "We sent it back to you."),
        spoken("Where is my second parcel now?", '{"intent": "ord'),
        {"messages": [{"role": "user", "content": "Hello?"}]},
    ]
    raw = folder / "raw"
    raw.mkdir()
    write_lines(raw / "desk.jsonl", [*(conversation(*pair) for pair in asked[::2]), *dirt])
    with (raw / "desk.jsonl").open("a") as file:
        file.write("this line is not JSON\n")
    with (raw / "legacy.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("prompt", "completion"), *((text, answer(label)) for text, label in asked[1::2])])


def ask(label: str, thing: str, when: str) -> str:
    return ASKED[label].format(thing=thing, when=when)


def answer(label: str) -> str:
    return json.dumps({"intent": label})


def conversation(text: str, label: str) -> dict[str, Any]:
    return spoken(text, answer(label))


def spoken(text: str, reply: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]}


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
