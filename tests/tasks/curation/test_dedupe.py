"""dedupe: what is left has no duplicates, and every row that went names a kept row it really resembles."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import RecipeError
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import CLASSIFICATION, PREFERENCE
from tasks.curation.dedupe import DedupeSettings, EmbeddingSettings, JaccardSettings, dedupe
from tasks.metrics.answer_schema import AnswerSettings
from tests.support.tiny_embedder import tiny_bert

WORDS = st.lists(st.sampled_from(["where", "is", "my", "order", "due", "on", "monday", "today", "help"]), max_size=7)
PROMPTS = st.lists(WORDS.map(" ".join) | st.sampled_from(["", "👍", "👎", "Hi", "hi"]), min_size=1, max_size=20)


def row(row_id: str, prompt: str, answer: str = "We will look into it.", system: str = "") -> dict[str, Any]:
    said = [("system", system)] if system else []
    messages = [{"role": role, "content": text} for role, text in [*said, ("user", prompt), ("assistant", answer)]]
    return {"row_id": row_id, "source": "a.jsonl", "line": 1, "messages": messages, "meta": "{}"}


PARCEL = "my parcel was due on monday and it still has not come what can you do"
SORRY = "we are sorry that your parcel is late we have asked the carrier and will write to you tomorrow"


def preferred(row_id: str, prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {**row(row_id, prompt, chosen), "rejected": rejected}


def only(**chosen: Any) -> DedupeSettings:
    """Settings with nothing on but what is named."""
    off = dict.fromkeys(("prompt", "answer", "pair"), JaccardSettings(policy="off"))
    return DedupeSettings(**{**off, **chosen})


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


def fate(outcome: Outcome) -> dict[str, tuple[str, dict[str, Any]]]:
    told = outcome.ledger.select("row_id", "reason", "evidence").iter_rows()
    return {row_id: (reason, json.loads(evidence)) for row_id, reason, evidence in told}


def jaccard(a: str, b: str, ngram: int = 3) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + ngram]) for i in range(max(len(words) - ngram + 1, 1))} if words else {(text,)}

    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


def test_copies_that_differ_in_case_and_space_are_exact_duplicates_of_the_row_that_stays() -> None:
    rows = frame([row("a", "Where is  my ORDER?"), row("b", "where is my order?\n"), row("c", "Cancel it")])
    outcome = dedupe(rows, DedupeSettings())
    assert outcome.kept["row_id"].to_list() == ["a", "c"]
    assert fate(outcome) == {"b": ("exact duplicate", {"kept": "a", "of": "row", "jaccard": 1.0})}


def test_a_reworded_row_is_a_near_duplicate_and_says_how_near() -> None:
    text = "my parcel was due on monday and it still has not come what can you do"
    longer = text + " please"
    outcome = dedupe(frame([row("a", text), row("b", longer), row("c", "how do i return a lamp")]), DedupeSettings())
    assert fate(outcome) == {
        "b": ("near duplicate", {"kept": "a", "of": "prompt", "jaccard": round(jaccard(text, longer), 4)})
    }


def test_the_longest_answer_survives_then_the_shortest_prompt_then_the_smallest_id() -> None:
    rows = [row("a", "Where is it?", "Short."), row("b", "where is it?", "Longer."), row("c", "WHERE is it?", "Short.")]
    assert set(fate(dedupe(frame(rows), DedupeSettings()))) == {"a", "c"}
    assert set(fate(dedupe(frame([rows[0], rows[2]]), DedupeSettings()))) == {"c"}


def test_there_are_no_chains() -> None:
    words = [f"w{i}" for i in range(30)]
    a, b, c = (" ".join(words[start : start + 20]) for start in (0, 3, 6))  # a like b, b like c, a unlike c
    assert jaccard(a, b) >= 0.7 > jaccard(a, c)
    rows = [row("a", a), row("b", b), row("c", c)]  # the shortest prompt first
    assert list(fate(dedupe(frame(rows), DedupeSettings()))) == ["b"]


def test_copies_of_a_row_that_went_name_the_row_that_stayed() -> None:
    text = "my parcel was due on monday and it still has not come what can you do"
    longest = row("c", text + " please", "A much longer answer, so it stays.")
    rows = frame([row("a", text), row("b", text.upper()), longest])
    outcome = dedupe(rows, DedupeSettings())
    assert {evidence["kept"] for _, evidence in fate(outcome).values()} == {"c"}
    check_balance("dedupe", rows, outcome)


def test_short_and_wordless_prompts_are_duplicates_only_of_the_same_text() -> None:
    texts = {"a": "👍", "b": "👎", "c": "👍", "d": "hi", "e": "hi!", "f": "no"}
    outcome = dedupe(frame([row(*item) for item in texts.items()]), DedupeSettings())
    reasons = {row_id: reason for row_id, (reason, _) in fate(outcome).items()}
    assert reasons == {"c": "exact duplicate", "e": "near duplicate"}


def test_the_same_words_under_another_system_message_are_another_task() -> None:
    text = "the cat sat on the mat"
    rows = frame([row("a", text, system="Translate."), row("b", text, system="Label."), row("c", text + "!")])
    assert dedupe(rows, DedupeSettings()).kept.height == 3


def test_turns_before_the_last_count_as_prompt() -> None:
    def turns(row_id: str, first: str) -> dict[str, Any]:
        said = [("user", first), ("assistant", "Which order?"), ("user", "The last one"), ("assistant", "Done.")]
        return {**row(row_id, ""), "messages": [{"role": role, "content": text} for role, text in said]}

    rows = frame([turns("a", "Please cancel my order"), turns("b", "I would like to return a lamp I bought")])
    assert dedupe(rows, DedupeSettings()).kept.height == 2


def test_ten_thousand_copies_cost_nothing() -> None:
    rows = frame([row(f"{i:05d}", "the same message with seven words here") for i in range(10_000)])
    assert dedupe(rows, DedupeSettings()).kept["row_id"].to_list() == ["00000"]


def test_thousands_of_automatic_notices_that_differ_in_a_number_leave_one() -> None:
    text = "Your ticket {} is closed. If you think that this is wrong, reply within seven days and we look again."
    rows = frame([row(f"{i:05d}", text.format(i)) for i in range(12_000)])
    outcome = dedupe(rows, DedupeSettings())
    assert outcome.kept["row_id"].to_list() == ["00000"]  # the shortest prompt, then the smallest id
    assert json.loads(outcome.ledger["evidence"][0]) == {"kept": "00000", "of": "prompt", "jaccard": 0.7143}
    check_balance("dedupe", rows, outcome)


def test_one_answer_to_many_questions_is_normal_until_the_recipe_says_otherwise() -> None:
    rows = frame(
        [row("a", "where is it", SORRY), row("b", "has it been sent", SORRY + " again"), row("c", "hi", "Hello!")]
    )
    assert dedupe(rows, DedupeSettings()).kept.height == 3
    outcome = dedupe(rows, only(answer=JaccardSettings(policy="quarantine")))
    assert fate(outcome)["a"][1]["of"] == "answer"
    assert outcome.ledger["action"].to_list() == ["quarantined"]


def test_a_pair_is_alike_only_if_its_prompts_and_its_answers_are() -> None:
    rows = frame(
        [
            row("a", PARCEL, SORRY),
            row("b", PARCEL + " please", SORRY + " morning"),
            row("c", PARCEL, "no"),
            row("d", "hi", SORRY),
        ]
    )
    told = fate(dedupe(rows, only(pair=JaccardSettings(policy="drop"))))
    least = min(jaccard(PARCEL, PARCEL + " please"), jaccard(SORRY, SORRY + " morning"))
    assert told == {"a": ("near duplicate", {"kept": "b", "of": "pair", "jaccard": round(least, 4)})}


def test_copies_of_a_whole_row_go_even_where_nothing_else_is_compared() -> None:
    rows = frame([row("a", PARCEL, SORRY), row("b", PARCEL, SORRY), row("c", PARCEL, "No.")])
    assert fate(dedupe(rows, only())) == {"b": ("exact duplicate", {"kept": "a", "of": "row", "jaccard": 1.0})}


def test_a_copy_of_a_row_that_a_person_is_asked_about_is_dropped() -> None:
    rows = frame([row("a", PARCEL, SORRY), row("b", PARCEL, "No."), row("c", PARCEL, "No.")])
    ledger = dedupe(rows, DedupeSettings(prompt=JaccardSettings(policy="quarantine"))).ledger
    assert dict(ledger.select("row_id", pl.col("action").cast(pl.String)).iter_rows()) == {
        "b": "quarantined",
        "c": "dropped",
    }


def test_preference_rows_are_compared_with_both_their_answers() -> None:
    rows = [
        preferred("a", PARCEL, SORRY, "no idea"),
        preferred("b", PARCEL, SORRY, "call us"),  # other pairs of answers
        preferred("c", PARCEL, "no idea", SORRY),  # the other way round
        preferred("d", PARCEL + " please", SORRY, "No idea"),
    ]
    outcome = dedupe(frame(rows), DedupeSettings(), PREFERENCE)
    assert {row_id: evidence["kept"] for row_id, (_, evidence) in fate(outcome).items()} == {"d": "a"}


def test_labels_are_not_compared_by_their_words() -> None:
    rows = frame([row("a", "where is it", "order"), row("b", "has it come", "order")])
    kind = CLASSIFICATION
    assert dedupe(rows, DedupeSettings(), kind).kept.height == 2
    with pytest.raises(RecipeError, match=r"dedupe\.answer\.policy"):
        dedupe(rows, DedupeSettings(answer=JaccardSettings(policy="drop")), kind)


INSTRUCTION = "Read the message of a customer below and say which team of the shop has to answer it, in one word.\n\n"
THINGS = ["green lamp", "oak desk", "old rug", "high chair"]
LATE = "I ordered a table three weeks ago and paid by card, but the carrier says that it never got it, so where is it"


def test_an_instruction_that_many_rows_share_is_no_likeness_and_hides_no_copy() -> None:
    rows = [row(f"t{n}", f"{INSTRUCTION}I send the {thing} back", "returns") for n, thing in enumerate(THINGS)]
    rows += [row("a", f"{INSTRUCTION}{LATE}", "shipping"), row("b", f"{INSTRUCTION}{LATE} now", "shipping")]
    rows += [row("c", f"{INSTRUCTION}Yes", "other"), row("d", f"{INSTRUCTION}Fine", "other")]
    assert set(fate(dedupe(frame(rows), DedupeSettings()))) == {"b"}


def test_the_same_words_in_two_frames_are_two_tasks() -> None:
    other = (
        "Translate what a customer wrote below into French, and leave out what is no part of the message itself.\n\n"
    )
    rows = [row(f"{n}{i}", f"{told}I send the {thing} back", "Je la renvoie") for n, told in enumerate((INSTRUCTION, other))
            for i, thing in enumerate(THINGS)]  # fmt: skip
    assert dedupe(frame(rows), DedupeSettings()).kept.height == len(rows)


def test_two_questions_on_one_passage_are_two_rows_though_both_are_answered_by_yes() -> None:
    passage = " ".join(f"w{n}" for n in range(60))
    rows = [
        row("a", f"{passage} is the shop open on sunday", "Yes"),
        row("b", f"{passage} do you sell old lamps", "Yes"),
    ]
    assert dedupe(frame(rows), DedupeSettings()).kept.height == 2


BAKER = "a baker makes 24 rolls each hour and sells 18 of them at 2 euros each, how many are left in the evening"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BAKER, BAKER.replace("18", "15")),
        (f"please do {PARCEL}", f"please do not {PARCEL}"),
        (f"can you tell me why in York {PARCEL}", f"can you tell me why in Leeds {PARCEL}"),
        (f"i want to cancel it, {PARCEL}", f"i want to keep it, {PARCEL}"),
        (f"您好，{'送货上门需要另外付钱吗' * 3}，我住在北京", f"您好，{'送货上门需要另外付钱吗' * 3}，我住在上海"),
    ],
)
def test_another_word_with_another_answer_is_another_row(one: str, other: str) -> None:
    assert dedupe(frame([row("a", one, "First."), row("b", other, "Second.")]), DedupeSettings()).kept.height == 2
    assert dedupe(frame([row("a", one, "Same."), row("b", other, "same")]), DedupeSettings()).kept.height == 1


@pytest.mark.parametrize("text", [f"Hello, {PARCEL}", f"{PARCEL}, thanks", f"Hi there! {PARCEL}. Thank you."])
def test_a_courtesy_with_another_answer_is_none(text: str) -> None:
    assert dedupe(frame([row("a", PARCEL, "Soon."), row("b", text, "We look.")]), DedupeSettings()).kept.height == 1


def test_answers_that_differ_in_a_sentence_of_their_json_decide_the_same() -> None:
    said = '{{"team": "{}", "reply": "{}"}}'
    rows = [
        row("a", PARCEL, said.format("shipping", "We will ask the carrier.")),
        row("b", PARCEL + " now", said.format("shipping", "The carrier will tell us tomorrow.")),
        row("c", PARCEL + " today", said.format("billing", "We will ask the carrier.")),
    ]
    assert dedupe(frame(rows), DedupeSettings()).kept.height == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("上个月买的书桌到现在都没有收到，请帮我查一下快递的情况", "上个月买的书桌到现在都没有收到，请帮我查询一下快递的情况"),
        ("先週注文した木の椅子がまだ届いていないので至急調べてください", "先週注文した木の椅子がまだ届いていないので早めに調べてください"),
        ("อยากทราบว่ารับซ่อมจักรยานคันเก่าที่โซ่ขาดและเบรกไม่ทำงานหรือไม่ช่วยแจ้งด้วย", "อยากทราบว่ารับซ่อมจักรยานคันเก่าที่โซ่ขาดและเบรกไม่ทำงานหรือไม่ช่วยบอกด้วย"),
        ("តើខ្ញុំអាចប្តូរទំនិញដែលបានទិញកាលពីសប្តាហ៍មុនបានដែរឬទេ", "តើខ្ញុំអាចប្តូរទំនិញដែលបានទិញកាលពីសប្តាហ៍មុនបានឬទេ"),
        ("ပြီးခဲ့တဲ့အပတ်ကဝယ်ထားတဲ့စားပွဲမရောက်သေးပါဘူးစစ်ဆေးပေးပါ", "ပြီးခဲ့တဲ့အပတ်ကဝယ်ထားတဲ့စားပွဲမရောက်သေးဘူးစစ်ဆေးပေးပါ"),
    ],
)  # fmt: skip
def test_near_duplicates_are_seen_where_no_spaces_are_written(one: str, other: str) -> None:
    rows = [row("a", one), row("b", other), row("c", "发票抬头可以修改吗"), row("d", "你们周末营业吗")]
    assert set(fate(dedupe(frame(rows), DedupeSettings()))) < {"a", "b"}
    assert dedupe(frame(rows), DedupeSettings()).kept.height == 3


def test_preference_pairs_that_a_number_tells_apart_are_two() -> None:
    rows = [preferred("a", BAKER, f"{SORRY} 6", SORRY), preferred("b", BAKER.replace("18", "15"), f"{SORRY} 9", SORRY)]
    assert dedupe(frame(rows), DedupeSettings(), PREFERENCE).kept.height == 2


def test_rows_with_different_labels_are_not_merged() -> None:
    pin, code = "what do i do if i forgot my pin", "what do i do if i forgot my passcode"
    rows = frame([row("a", pin, "Pin"), row("b", code, "passcode"), row("c", pin + "!", "pin")])
    assert set(fate(dedupe(rows, DedupeSettings(), CLASSIFICATION))) == {"c"}
    told = [
        row(row_id, text, json.dumps({"intent": label})) for row_id, text, label in (("a", pin, "x"), ("b", code, "y"))
    ]
    assert dedupe(frame(told), DedupeSettings(), answer=AnswerSettings(label="intent")).kept.height == 2
    assert dedupe(frame(told), DedupeSettings()).kept.height == 2  # another answer, label or not


def test_a_row_that_teaches_is_kept_before_one_that_does_not() -> None:
    silent = {**row("a", "where is it", "a much longer answer that its user did not like"), "weights": [0.0, 0.0]}
    taught = {**row("b", "where is it", "Soon."), "weights": [0.0, 1.0]}
    assert dedupe(frame([silent, taught]), DedupeSettings()).kept["row_id"].to_list() == ["b"]


@pytest.mark.usefixtures("one_thread")
def test_what_means_the_same_in_other_words_goes_if_a_model_says_so(tmp_path: Path) -> None:
    meaning = EmbeddingSettings(policy="quarantine", model=tiny_bert(tmp_path), threshold=0.999)
    rows = frame(
        [row("a", "where is the cafe"), row("b", "where is the café"), row("c", "where is my order"), row("d", "CAFE")]
    )
    # By shingles a and b share nothing.
    outcome = dedupe(rows, DedupeSettings(prompt=JaccardSettings(ngram=5), semantic=meaning))
    assert fate(outcome) == {"b": ("semantic duplicate", {"kept": "a", "of": "prompt", "cosine": 1.0})}
    assert outcome.ledger["action"].to_list() == ["quarantined"]


@settings(max_examples=60)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=15), st.integers(0, 9), st.booleans())
def test_several_comparisons_at_once_name_only_rows_that_stay(drawn: list[Any], seed: int, pairs: bool) -> None:
    rows = [row(f"{i:03d}", *map(" ".join, said)) for i, said in enumerate(drawn)]
    how = only(prompt=JaccardSettings(policy="drop"), answer=JaccardSettings(policy="quarantine", threshold=0.8))
    if pairs:
        how = how.model_copy(update={"pair": JaccardSettings(policy="drop", threshold=0.6)})
    outcome = dedupe(frame(rows), how)
    check_balance("dedupe", frame(rows), outcome)
    said = {f"{i:03d}": tuple(map(" ".join, texts)) for i, texts in enumerate(drawn)}
    kept = sorted(outcome.kept["row_id"])

    def like(a: str, b: str, of: str) -> float:
        prompt, answer = (jaccard(said[a][side], said[b][side]) for side in (0, 1))
        if of != "answer" and said[a][0] != said[b][0] and said[a][1] != said[b][1]:
            return 0.0  # another prompt with another answer
        return {"prompt": prompt, "answer": answer, "pair": min(prompt, answer), "row": min(prompt, answer)}[of]

    limits = {"prompt": 0.7, "answer": 0.8, **({"pair": 0.6} if pairs else {})}
    assert not [
        (a, b, of) for a in kept for b in kept for of, limit in limits.items() if a < b and like(a, b, of) >= limit
    ]
    for row_id, (_, evidence) in fate(outcome).items():
        assert evidence["kept"] in kept
        assert evidence["jaccard"] == round(like(row_id, evidence["kept"], evidence["of"]), 4)
        assert evidence["jaccard"] >= limits.get(evidence["of"], 1.0)
    Random(seed).shuffle(rows)
    assert dedupe(frame(rows), how).ledger.equals(outcome.ledger)


@settings(max_examples=100)
@given(PROMPTS, st.integers(0, 9), st.sampled_from([0.5, 0.7, 1.0]))
def test_what_is_left_is_apart_and_what_went_resembles_its_kept_row(texts: list[str], seed: int, limit: float) -> None:
    rows = [row(f"{i:03d}", text) for i, text in enumerate(texts)]
    outcome = dedupe(frame(rows), DedupeSettings(prompt=JaccardSettings(threshold=limit)))
    check_balance("dedupe", frame(rows), outcome)
    kept = sorted(outcome.kept["row_id"])
    by_id = {f"{i:03d}": text.lower() for i, text in enumerate(texts)}
    assert all(jaccard(by_id[a], by_id[b]) < limit for a in kept for b in kept if a < b)
    for row_id, (_, evidence) in fate(outcome).items():
        assert evidence["kept"] in kept
        assert evidence["jaccard"] == round(jaccard(by_id[row_id], by_id[evidence["kept"]]), 4) >= limit
    Random(seed).shuffle(rows)
    again = dedupe(frame(rows), DedupeSettings(prompt=JaccardSettings(threshold=limit)))
    assert sorted(again.kept["row_id"]) == kept
    assert again.ledger.equals(outcome.ledger)
