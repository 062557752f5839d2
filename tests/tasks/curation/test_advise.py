"""Advice: a good dataset hears nothing but good; each fault, planted, is told with its rows, and nothing of a row's
text.
"""

from __future__ import annotations

import json
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.handle import CURATED, LEDGER, QUARANTINE, Handle
from tasks.core.home import digest_bytes, digest_path, home
from tasks.core.ledger import Outcome, entries, entry, quarantine
from tasks.core.process.progress import Progress
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.core.work import StepDirs, StepResult
from tasks.curation.advice.specifics import factual, prose
from tasks.curation.advise import AdviseSettings, advise
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings

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
WORDS = (
    "came with crack along side never reached house colour picked online hums loudly when rains needs another screw "
    "left "
    "leg wobbles smells paint faded after week garden sister bought gift month wrong size door bell"
)
CALMS = [
    "We are sorry about the {}; a colleague looks into it today.",
    "Thank you for telling us, we will set the {} right.",
    "That should not happen to a {}, so we are sending help.",
    "Please keep the {} while we check what went wrong.",
    "Our workshop takes care of your {} without any cost to you.",
]
SCHEMA = {"type": "object", "properties": {"intent": {"enum": ["damage", "delivery"]}, "reply": {"type": "string"}}}
JSON = AnswerSettings(label="intent", graded=("intent",), json_schema=SCHEMA)
Talk = list[tuple[str, str]]


def talk(prompt: str, answer: str, system: str = "") -> Talk:
    return [*([("system", system)] if system else []), ("user", prompt), ("assistant", answer)]


def story(seed: int) -> str:
    return " ".join(random.Random(seed).sample(WORDS.split(), 8))


def good(rounds: int = 5) -> list[Talk]:
    """Free answers that draw on their prompts, twelve a round."""
    return [
        talk(f"My {thing} {story(60 * n + i)}, what now?", CALMS[i % 5].format(thing))
        for n, thing in enumerate(THINGS)
        for i in range(rounds)
    ]


def frame(talks: list[Talk], rejected: list[str] | None = None, validation: int = 30) -> pl.DataFrame:
    rows = [
        {
            "row_id": digest_bytes(f"{n}".encode()),
            "source": "raw.jsonl",
            "line": n + 1,
            "meta": "{}",
            "rejected": rejected[n] if rejected else None,
            "split": "validation" if n < validation else "train",
            "messages": [{"role": role, "content": content} for role, content in turns],
        }
        for n, turns in enumerate(talks)
    ]
    return pl.DataFrame(rows, schema={**ROW_SCHEMA, "split": pl.String})


FREE_TEXT = AnswerSettings()


def row_ids(*numbers: int) -> set[str]:
    return {digest_bytes(f"{n}".encode()) for n in numbers}


def advised(
    rows: pl.DataFrame,
    answer: AnswerSettings = FREE_TEXT,
    kind: str = "sft",
    system: str = "",
    held: list[Talk] | None = None,
    over_budget: int = 0,
    **chosen: Any,
) -> StepResult:
    folder = home() / "artifacts" / "account" / f"{len(list(home().rglob(CURATED)))}"
    folder.mkdir(parents=True)
    rows.write_parquet(folder / CURATED)
    gone = frame([*(held or []), *good()[:over_budget]]).drop("split").to_dicts()
    why = ["label_errors"] * len(held or []) + ["select"] * over_budget
    said = [
        entry(row, "dropped" if step == "select" else "quarantined", "x") for row, step in zip(gone, why, strict=True)
    ]
    ledger = pl.concat(
        [entries(step, [e for e, by in zip(said, why, strict=True) if by == step]) for step in {*why, "x"}]
    )
    ledger.write_parquet(folder / LEDGER)
    quarantine(pl.DataFrame(gone, schema=ROW_SCHEMA), Outcome(rows, ledger)).write_parquet(folder / QUARANTINE)
    dataset = Handle.of(folder, step="account", kind="dataset", digest=digest_path(folder), rows=rows.height)
    place = StepDirs(folder, folder, Progress("advise"))
    what = KINDS[kind]
    wanted = AdviseSettings(**{"goal": "style", "label_rows": 5, **chosen})
    return advise(place, wanted, dataset=dataset, answer=answer, kind=what, prompt=PromptSettings(system=system))


def topic(made: StepResult, name: str) -> dict[str, Any]:
    (found,) = [a for a in made.facts["advice"] if a["topic"] == name]
    return dict(found)


def worth_saying(made: StepResult) -> dict[str, str]:
    return {a["topic"]: a["level"] for a in made.facts["advice"] if a["level"] != "good"}


def test_a_good_dataset_hears_nothing_but_good() -> None:
    made = advised(frame(good(7)))
    assert worth_saying(made) == {}
    assert made.line == f"good in all {len(made.facts['advice'])} topics"
    assert all(not a["do"] and not a["rows"] for a in made.facts["advice"])
    assert (made.facts["warnings"], made.facts["notes"], made.facts["rows"]) == (0, 0, 84)


def test_good_pairs_hear_nothing_but_good() -> None:
    wordy = "A longer answer that says hardly anything to the point at all, again and again."
    assert worth_saying(advised(frame(good() * 2, [wordy, "Go away."] * 60), kind="preference")) == {}


def test_good_labels_hear_nothing_but_good() -> None:
    talks = [[question, ("assistant", "damage" if n % 3 else "delivery")] for n, (question, _) in enumerate(good(8))]
    assert worth_saying(advised(frame(talks), kind="classification")) == {}


@pytest.mark.parametrize(
    ("goal", "level", "needed"),
    [("style", "good", 50), ("capability", "warning", 1000), ("instruction", "warning", 50_000)],
)
def test_rows_are_counted_against_what_the_goal_takes(goal: str, level: str, needed: int) -> None:
    found = topic(advised(frame(good() * 2), goal=goal), "rows")
    assert (found["level"], found["numbers"]["train_rows"], found["numbers"]["least"]) == (level, 90, needed)
    if level == "warning":
        assert "they can teach a manner or a fixed form" in found["says"]
        assert f"Bring {needed - 90:,} more rows" in found["do"]


FACTS = [
    talk("Who runs the branch in the north?", "The branch is led by Marit Solberg, who came from Bergen in 2019."),
    talk(
        "How do I reach the returns desk?",
        "Write to https://help.acme.example/returns or ring extension 4471 before 17:30.",
    ),
    talk("What does the large kettle cost?", "It is $49.90, and $12.50 more with the copper lid."),
    talk("When was the shop founded?", "1987."),
]


def test_answers_that_state_what_the_prompt_does_not_hold_belong_in_retrieval() -> None:
    made = advised(frame([*good()[:12], *FACTS]))
    found = topic(made, "facts")
    assert (found["level"], found["numbers"]) == ("warning", {"rows": 4, "share": 0.25})
    assert set(found["rows"]) == row_ids(12, 13, 14, 15)
    assert "searched when a question comes" in found["do"]
    assert topic(advised(frame([*good(), *FACTS])), "facts")["level"] == "good"  # four in sixty-four
    assert topic(advised(frame([*good()[:24], *FACTS])), "facts")["level"] == "note"


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("I am Marit Solberg from Bergen, since 2019.", "Welcome, Marit Solberg from Bergen, with us since 2019!"),
        ("What is 12 times 12, and 13 times 13?", "They are 144 and 169, which together make 313."),
        ("How do I make tea?", "1. Boil water.\n2. Add leaves.\n10. Wait, then pour."),
        ("Say hello to the customer", "Hello <NAME_1>, we wrote to <EMAIL_1> about it."),
        ("How do I print it?", "Use this:\n```\nfor i in range(1000): print(i, 2048)\n```"),
        (
            "Was ist ein Baum?",
            "Im Wald stehen viele Bäume mit Blättern, und im Herbst fallen alle Blätter auf den Boden.",
        ),
        ("Name two ideas", "Think of Better Plans, or of Good Habits. The better plans and good habits win."),
    ],
)
def test_what_the_prompt_holds_or_a_skill_makes_is_no_fact(prompt: str, answer: str) -> None:
    assert factual(pl.DataFrame({"row_id": ["a"], "prompt": [prompt], "answer": [answer]})).height == 0


def test_what_every_answer_says_is_manner_and_what_is_in_a_label_is_not_read() -> None:
    firm = "Your friends at Harbour and Pine in Portland, open since 1987."
    signed = frame([[*t[:-1], ("assistant", f"{t[-1][1]} {firm}")] for t in good()])
    assert topic(advised(signed), "facts")["numbers"]["rows"] == 0
    answer = '{"intent": "Bergen 1987", "reply": "At 17:30", "n": {"of": [12, true]}}'
    assert prose(answer, frozenset({"intent"})) == "At 17:30\n12"
    assert prose("[1987]", frozenset()) == "[1987]"


def test_rows_under_another_system_prompt_than_most_are_named() -> None:
    talks = [[("system", "Be kind."), *t] for t in good()]
    talks[3], talks[7] = talks[3][1:], [("system", "Be curt."), *talks[7][1:]]
    found = topic(advised(frame(talks)), "system prompts")
    assert (found["level"], set(found["rows"])) == ("warning", row_ids(3, 7))
    assert found["numbers"] == {"different": 3, "rows_under_commonest": 58, "rows_under_others": 2}
    assert topic(advised(frame(talks), system="One for all."), "system prompts")["level"] == "good"
    many = [[("system", f"You are helper {n}."), *t] for n, t in enumerate(good())]
    assert topic(advised(frame(many)), "system prompts")["level"] == "note"


def labelled(counts: dict[str, int]) -> pl.DataFrame:
    wanted = [label for label, rows in counts.items() for _ in range(rows)]
    return frame(
        [
            talk(
                f"{THINGS[n % 12]} {n}",
                json.dumps({"intent": label, "reply": CALMS[n % 5].format(f"{THINGS[n % 12]} {n}")}),
            )
            for n, label in enumerate(wanted)
        ],
        validation=0,
    )


def test_labels_that_differ_in_spelling_alone_are_told_and_left_to_a_person() -> None:
    found = topic(advised(labelled({"byte": 40, "Byte": 30, "other": 40}), JSON), "spellings of labels")
    assert (found["level"], "'Byte' and 'byte'" in found["says"]) == ("note", True)
    assert "format: {values:" in found["do"]


def test_labels_with_too_few_rows_and_labels_that_outweigh_the_rest_are_told() -> None:
    few = topic(advised(labelled({"damage": 40, "delivery": 30, "other": 4}), JSON), "labels")
    assert (few["level"], few["numbers"]["too_few"], set(few["rows"])) == (
        "warning",
        {"other": 4},
        row_ids(70, 71, 72, 73),
    )
    uneven = topic(advised(labelled({"damage": 300, "delivery": 5, "other": 5}), JSON), "labels")
    assert (uneven["level"], len(uneven["rows"])) == ("note", 5)
    assert topic(advised(labelled({"damage": 40, "delivery": 12}), JSON), "labels")["level"] == "good"


def test_rows_that_a_step_holds_are_named_before_rows_are_asked_for() -> None:
    rows = labelled({"damage": 40, "delivery": 30, "other": 4, "praise": 3})
    held = [talk(f"It is odd {n}", json.dumps({"intent": "other", "reply": "We see."})) for n in range(6)]
    assert "Bring rows" in topic(advised(rows, JSON), "labels")["do"]
    assert topic(advised(rows, JSON, held=held), "labels")["do"].startswith(
        "Look first at the rows of these labels that are held ('other' 6)"
    )
    few = {"held": held, "goal": "capability"}
    assert topic(advised(rows, JSON, **few), "rows")["do"].startswith("Look at the 6 rows that are held")
    assert "Raise select.rows" in topic(advised(rows, JSON, over_budget=9, goal="capability"), "rows")["do"]
    talks = good()
    talks[9] = [*talks[9], ("user", "And then?"), ("assistant", "Then we will see to it.")]
    made = advised(frame(talks, validation=4), held=[talks[9]])
    assert topic(made, "turns")["do"].startswith("Look at the 1 that are held")
    assert "bring" not in topic(made, "validation")["do"].lower()


def test_a_few_answers_that_hold_most_of_the_text_are_named() -> None:
    talks = good()
    talks[5] = talk("Tell me all about the lamp", " ".join(f"line{n} of a tale about it" for n in range(900)))
    found = topic(advised(frame(talks)), "lengths")
    assert (found["level"], found["rows"][0]) == ("note", digest_bytes(b"5"))
    assert found["numbers"]["share_of_longest_5_percent"] > 0.8


def test_answers_that_are_a_few_texts_again_and_again_are_told_and_so_are_like_beginnings() -> None:
    same = [
        [*t[:-1], ("assistant", "Thank you, we will be in touch." if n % 3 else "Noted.")] for n, t in enumerate(good())
    ]
    found = topic(advised(frame(same)), "answers")
    assert (found["level"], found["numbers"]["different"]) == ("warning", 2)
    begin = good()
    begin[::2] = [[*t[:-1], ("assistant", f"Dear customer, thanks for writing! {t[-1][1]}")] for t in begin[::2]]
    found = topic(advised(frame(begin)), "answers")
    assert (found["level"], found["numbers"]["begin_alike"]) == ("note", 30)
    only_labels = [[*t[:-1], ("assistant", '{"intent": "damage"}')] for t in good()]
    assert topic(advised(frame(only_labels), JSON), "answers")["level"] == "good"


def test_prompts_made_from_one_template_are_versions_of_one_another() -> None:
    made = advised(
        frame([talk(f"Please write a short and friendly note about {t} for me", f"On {t}.") for t in THINGS * 4])
    )
    found = topic(made, "families")
    assert (found["level"], found["numbers"]["rows"]) == ("note", 48)


def test_few_conversations_and_few_validation_rows_are_noted() -> None:
    talks = good()
    talks[9] = [*talks[9], ("user", "And then?"), ("assistant", "Then we will see to it.")]
    made = advised(frame(talks, validation=4))
    assert (topic(made, "turns")["level"], set(topic(made, "turns")["rows"])) == ("note", row_ids(9))
    assert topic(made, "validation")["level"] == "note"
    assert topic(advised(frame(good(), validation=0)), "validation")["says"] == "No row watches over training."


def test_pairs_in_which_the_longer_answer_always_wins_are_noted() -> None:
    found = topic(advised(frame(good(), ["No."] * 60), kind="preference"), "length")
    assert (found["level"], found["numbers"]["share"]) == ("note", 1.0)


def test_no_text_of_a_row_is_in_the_advice() -> None:
    secret = "Marit Solberg, marit@example.org, +47 912 34 567"
    talks = [
        *good()[:6],
        *FACTS,
        *[talk(f"Who is it, {secret}?", f"It is {secret} in Bergen {n}.", secret) for n in range(30)],
    ]
    made = advised(frame(talks))
    told = json.dumps([made.facts, made.table, made.line, made.told])
    assert worth_saying(made).keys() >= {"rows", "system prompts", "answers"}
    assert [part for part in (*secret.split(), "Bergen", "4471") if len(part) > 3 and part.strip(",") in told] == []


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(dice: random.Random) -> None:
    rows = frame([*good()[:20], *FACTS, *[talk(f"The {t} again", "Noted.", "Be curt.") for t in THINGS]])
    assert advised(rows[dice.sample(range(rows.height), rows.height)]).facts == advised(rows).facts


def test_the_worst_stands_first_and_the_line_names_it() -> None:
    made = advised(frame([*good(), *FACTS], validation=3), goal="capability")
    assert made.line == "1 warning and 1 note in 8 topics: rows, validation"
    assert [row["level"] for row in made.table] == ["warning", "note"] + ["good"] * 6
    assert made.kind == "advice"
