"""Filter: each rule catches its violation under its own reason, the near miss beside it stays, and good rows pass
untouched.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.core.code_digest import code_files
from tasks.core.errors import RecipeError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD
from tasks.core.ledger import Outcome, check_balance
from tasks.core.row import ROW_SCHEMA
from tasks.core.row_kind import KINDS
from tasks.curation.filter import FilterSettings, filter_rows, find_rules

Turns = list[tuple[str, str]]
GOOD = "We are checking where your parcel is and will write back with its tracking link."


def frame(*conversations: Turns, rejected: str | None = None, weights: list[float] | None = None) -> pl.DataFrame:
    made = [
        {
            "row_id": f"{i:04}",
            "source": "x.jsonl",
            "line": i,
            "meta": "{}",
            "rejected": rejected,
            "weights": weights,
            "messages": [{"role": role, "content": content} for role, content in turns],
        }
        for i, turns in enumerate(conversations, 1)
    ]
    return pl.DataFrame(made, schema=ROW_SCHEMA)


def run(
    rows: pl.DataFrame, kind: str = "sft", base: Handle | None = None, folder: Path = Path(), **chosen: Any
) -> Outcome:
    made = FilterSettings(**chosen)
    rules = find_rules(made.rules, folder)
    outcome = filter_rows(rows, made, KINDS[kind], base, rules)
    check_balance("filter", rows, outcome)
    return outcome


def answered(text: str, question: str = "Where is it?") -> Turns:
    return [("user", question), ("assistant", text)]


def told(outcome: Outcome) -> tuple[str, str, Any]:
    (row,) = outcome.ledger.iter_rows(named=True)
    return row["action"], row["reason"], json.loads(row["evidence"])


# ---------------------------------------------------------------- nothing to learn

NOTHING: dict[str, tuple[Turns, str, Any]] = {
    "an empty message": ([("user", " \n"), ("assistant", GOOD)], "empty message", {"message": 1}),
    "no message": ([("system", "x"), ("assistant", GOOD)], "no user message", {"roles": ["system", "assistant"]}),
    "an empty answer": (answered("  "), "empty answer", {"message": 2}),
    "an empty answer in a later turn": ([*answered(GOOD), *answered("")], "empty answer", {"message": 4}),
    "no answer": ([("user", "Hi")], "no assistant answer", {"roles": ["user"]}),
    "nothing": ([], "no user message", {"roles": []}),
}


@pytest.mark.parametrize("case", NOTHING)
@pytest.mark.parametrize("kind", ["sft", "preference", "classification"])
def test_a_row_without_a_message_or_an_answer_is_dropped(case: str, kind: str) -> None:
    turns, reason, evidence = NOTHING[case]
    assert told(run(frame(turns, rejected="x"), kind)) == ("dropped", reason, evidence)


def test_a_preference_without_its_other_answer_is_dropped() -> None:
    assert told(run(frame(answered(GOOD)), "preference"))[1] == "no rejected answer"
    assert told(run(frame(answered(GOOD), rejected=" "), "preference"))[1:] == ("empty answer", {"message": "rejected"})
    assert run(frame(answered(GOOD), rejected="As an AI, I cannot help."), "preference").ledger.is_empty()


def test_a_row_of_which_no_answer_counts_is_dropped_and_one_of_which_some_do_stays() -> None:
    bad = run(frame(answered(GOOD), weights=[1.0, 0.0]))
    assert told(bad) == ("dropped", "rated bad by its source", {"weights": [1.0, 0.0]})
    mixed = frame([*answered("As an AI, I cannot help."), *answered(GOOD)], weights=[1.0, 0.0, 1.0, 1.0])
    assert run(mixed).ledger.is_empty()  # the refusal does not teach either


# ---------------------------------------------------------------- one violation a rule, and what only looks like one

BOILERPLATE = [
    "As an AI language model, I cannot provide personal opinions.",
    "I'm sorry, but I can’t assist with that request.",
    "I apologize, but I cannot fulfill this request. It is important to respect others' privacy.",
    "<nooutput>",
    "A colleague will get back to you.",
    "Hi,\n\nthank you for contacting us.\nA colleague will get back to you soon.\n\nBest regards",
    "Your ticket #4412 has been received and a member of our team will contact you shortly.",
    "I'm unable to generate images.",
    "This is an automated response. Please do not reply to this email.",
    "I am currently out of the office until Monday.",
    "I must respectfully decline to answer.",
    "I'm afraid this is not something I can help with.",
    "I do not feel able to do that.",
    "It would not be appropriate for me to comment on this.",
    "My guidelines don't allow me to discuss such topics.",
    "Sorry, but I'd rather not talk about that.",
    "Such requests go against my training.",
    "Ein Kollege wird sich in Kürze bei Ihnen melden.",
    "Un collègue vous répondra rapidement.",
    "Een collega neemt zo snel mogelijk contact met u op.",
    "Un agente se pondrá en contacto con usted.",
]
NO_BOILERPLATE = [
    "I cannot provide refunds after 30 days.",
    "I can't repudiate my fears.",
    "Thank you for your message!",
    "I'd rather not eat meat.",
    "It is not safe for me to walk alone.",
    "I must decline your kind offer to join the board.",
    "I do not agree with this.",
    "I'm not comfortable in these shoes.",
    "This is not something I would wear.",
    "I'm sorry to hear that. Is there anything I can do to help?",
    GOOD,
    "I cannot attend the meeting on Friday.",
    "As an AI language model, I can help you plan your trip. Day 1: Paris.",
    "Your order has been received by the warehouse.",
    'The bot said: "As an AI language model, I cannot help." That was rude.',
    "As an AI I cannot taste, but a ripe mango smells sweet. Press gently near the stem.",
    "A colleague will get back to you; until then press the reset button for five seconds.",
]


@pytest.mark.parametrize("text", BOILERPLATE)
def test_an_answer_of_set_phrases_only_is_boilerplate(text: str) -> None:
    assert told(run(frame(answered(text)))) == (
        "quarantined",
        "boilerplate answer",
        {"message": 2, "characters": len(text)},
    )


@pytest.mark.parametrize("text", NO_BOILERPLATE)
def test_an_answer_that_says_more_than_a_set_phrase_stays(text: str) -> None:
    assert run(frame(answered(text))).ledger.is_empty()


def test_a_refusal_that_was_asked_for_stays() -> None:
    asked = "Write an out-of-office reply for me, please."
    assert run(frame(answered("I am out of the office until Monday.", asked))).ledger.is_empty()


def test_who_asks_for_sentences_or_a_text_did_not_ask_for_a_refusal() -> None:
    for asked, stays in (("Generate three sentences about tea.", False), ("Write a reply to this customer.", True)):
        assert run(frame(answered("I'm unable to help with that.", asked))).ledger.is_empty() is stays


def test_the_recipes_own_phrases_are_boilerplate_however_they_are_typed() -> None:
    rows = frame(answered("Please see  OUR wiki"), answered("Please see our wiki for the sizes."))
    assert told(run(rows, phrases=("Please see our wiki!",)))[1] == "boilerplate answer"
    with pytest.raises(ValidationError, match="without a letter"):
        FilterSettings(phrases=("...",))


def test_an_answer_that_is_the_prompt_again_is_an_echo_and_one_that_goes_on_is_not() -> None:
    asked = "Where is the lamp that I ordered?"
    assert told(run(frame(answered("where is the LAMP that I ordered", asked)))) == (
        "quarantined",
        "answer repeats the prompt",
        {"message": 2, "words": 7},
    )
    near = frame(answered("Where is the lamp that you ordered?", asked), answered("Hello!", "Hello"))
    assert run(near).ledger.is_empty()


EDITED = {
    "punctuation": ("", "where is it i ordered it in may", "Where is it? I ordered it in May."),
    "lines": ("", "one lamp two desks three chairs", "one lamp\ntwo desks\nthree chairs"),
    "code": ("", "if x==1: return y+z", "if x == 1:\n    return y + z"),
    "a title": ("", "a farewell to arms", "A Farewell to Arms"),
    "minified": ("Minify the JSON.", '{ "a": 1, "b": 2, "c": 3, "d": 4 }', '{"a":1,"b":2,"c":3,"d":4}'),
    "one capital": ("Restore the capitalization.", "we met in berlin last year", "we met in Berlin last year"),
    "nothing to correct": ("Correct the sentences.", "She has two old cats.", "She has two old cats."),
    "said again": ("Repeat what I say.", "one two three four", "one two three four"),
    "sorted already": ("Sort the words.", "ant bee cow dog", "ant bee cow dog"),
}


@pytest.mark.parametrize("what", EDITED)
def test_the_same_words_are_no_echo_where_they_were_edited_as_asked(what: str) -> None:
    system, asked, text = EDITED[what]
    assert run(frame([*[("system", system)][: bool(system)], *answered(text, asked)])).ledger.is_empty()


@pytest.mark.parametrize(
    "system",
    ["You help the customers of a shop.", "Never repeat the question.", "Be formal, and correct in all you say."],
)
def test_an_echo_under_a_system_prompt_that_asks_for_no_edit_is_one(system: str) -> None:
    for text in ("the lamp is broken again", "The lamp is broken again.", "the lamp  is broken again"):
        rows = frame([("system", system), *answered(text, "The lamp is broken again")])
        assert told(run(rows))[1] == "answer repeats the prompt"


LOOPS = [
    "The answer is yes. " * 8,
    "It is what it is and that is what it is. " * 7,
    "Sure. " + "I think that this is it and " * 6,
    "no " * 40,
    "We look into it. " + "0" * 60,
]
NO_LOOPS = [
    "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream.",
    "\n".join(f"{i}. Press the red button number {i} and wait for light {i}." for i in range(1, 12)),
    "0 1 " * 20,
    "-" * 80,
    "| a | b |\n|---|---|\n" + "".join(f"| {i} | {i * i} |\n" for i in range(20)),
]


@pytest.mark.parametrize("text", LOOPS)
def test_an_answer_that_loops_is_seen(text: str) -> None:
    assert told(run(frame(answered(text))))[:2] == ("quarantined", "answer repeats itself")
    assert run(frame(answered(text, "Repeat this for me, many times."))).ledger.is_empty()


@pytest.mark.parametrize("text", NO_LOOPS)
def test_what_repeats_a_pattern_with_other_content_is_no_loop(text: str) -> None:
    assert run(frame(answered(text))).ledger.is_empty()


@pytest.mark.parametrize(
    ("text", "codes"),
    [("a\x00b\x00", {"U+0000": 2}), ("caf\ufffd\x01", {"U+FFFD": 1, "U+0001": 1}), ("\x92s", {"U+0092": 1})],
)
def test_control_characters_are_told_by_their_code(text: str, codes: dict[str, int]) -> None:
    evidence = {"message": 1, "characters": codes}
    assert told(run(frame(answered(GOOD, text)), "classification")) == ("quarantined", "control characters", evidence)
    assert run(frame(answered("tab\tline\r\nemoji 👩‍👩‍👧 \u200e שלום", "ok"))).ledger.is_empty()


def test_a_character_that_was_lost_is_not_called_a_control_character() -> None:
    found = told(run(frame(answered(GOOD, "A screwdr\ufffdver.")), "classification"))
    assert found == ("quarantined", "lost characters", {"message": 1, "U+FFFD": 1})


# ---------------------------------------------------------------- cut off, by the habits of the dataset

THINGS = ["lamp", "kettle", "chair", "blanket", "lantern", "basket", "stool", "mirror", "teapot", "hammock"]
HABIT = [
    f"We have found the {thing} in the {place}, and the information about it will be sent to you. It takes {i} days."
    for i in range(1, 7)
    for thing in THINGS
    for place in ("warehouse", "van", "shop")
]
CUT = {
    "a word that ends no sentence": "We have found the lamp in the shop. We will send the",
    "part of a word": "We have found the informat",
    "an unended sentence": "We have found the lamp in the shop. It was behind a large grey mirror",
    "a comma": "We have found the lamp in the shop, and the kettle,",
    "a list item": "Do this.\n1. Press the red button.\n2. Wait for the lamp.\n3. Press the blue",
    "one word of a list item": "Do this.\n1. Press the red button.\n2. Wait for the lamp.\n3. Press",
    "the word that begins a sentence": "We have found the lamp in the shop. The",
    "an open bracket": "We have found the lamp (the one in the",
    "an open quotation": 'We have found the lamp. It says "made in a warehouse',
    "a word that begins a list item": "- Lamps of 1969\n- Kettles of 1970\n- The",
    "a list item without a word": "- Lamps of 1969\n- Kettles of 1970\n-",
    "words after a formula": "The size is 5 = 3 + 2, and we have found the",
    "a half word that another answer ends in, too": "We are sorry, the lamp is in the warehou",
    "a line without the label of those above it": "Lamp: grey\nKettle: blue\nCha",
    "a row of a table": "Thing | Place\n--- | ---\nlamp | shop\nkettle",
    "what a speaker says": "Ann: Where is it?\nJo: It is in the shop.\nAnn: Thanks Jo",
    "two words of another paragraph": "We have found the lamp in the shop.\n\nIt was",
    "an enumeration": "Gifts for a friend include: lamps, kettles, Chairs",
    "a gap to fill before it": "[Name], we have found the lamp in the shop. It takes you to the",
    "a short line": "We have found a cat",
    "an open code block": "Here:\n```python\nprint(1)\n",
}
WHOLE = [
    "Blue",
    "Your new lamp",
    "1. Lamp\n2. Kettle\n3. Chair",
    "We found it. See the list at example.com/list",
    "Size: L",
    "A poem for you:\nthe lamp is lit and I am in the light\nthe kettle sings to me throughout the night",
    "We have found the lamp.\n\nSincerely,",
    "The lamp (grey)",
    "The boxes hold 3 lamps 5 cups 7 pans 9 forks",
    "Kind regards\nYour team",
    "We have found the lamp in the shop. Warm regards, Jo at Harbour",
    "We are glad to have you! #HomeAndGarden",
    "We are glad to have you! #HomeAndGarden #lamps for",
    "```\nprint(1)\n```",
    "Gifts: Lamps, Kettles, Chairs",
    "The best are: Lamps, Kettles and Chairs",
    "Nous avons bien le plaisir de vous dire oui",
    'He said: "It is in the shop"',
    "Verb: was\nAdverb: in the",
    "Thing | Place\n--- | ---\nlamp | shop\n\nSee example.com/lamps",
    "for lamp in lamps do\n  wrap lamp\nend for",
]


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_ends_unlike_the_others_was_cut(case: str) -> None:
    rows = frame(answered(CUT[case]), *map(answered, HABIT))
    action, reason, evidence = told(run(rows))
    assert (action, reason, evidence["characters"]) == ("quarantined", "answer is cut off", len(CUT[case].strip()))


def test_each_answer_of_a_conversation_is_judged_by_itself_and_the_reason_says_which_was_cut() -> None:
    def judged(first: str, last: str) -> list[tuple[str, int]]:
        rows = frame([*answered(first), *answered(last, "And when?")], *map(answered, HABIT))
        entries = run(rows).ledger.select("reason", "evidence").iter_rows()
        return [(reason, json.loads(evidence)["message"]) for reason, evidence in entries]

    whole, unended = HABIT[0], CUT["an unended sentence"]
    assert judged(unended, whole) == judged(CUT["a list item"], whole) == judged(CUT["a comma"], whole) == []
    assert judged(whole, unended) == judged(unended, unended) == [("answer is cut off", 4)]
    for case in ("part of a word", "a word that ends no sentence", "an open bracket", "an open code block"):
        assert judged(CUT[case], whole) == [("an earlier answer is cut off", 2)]


@pytest.mark.parametrize("text", WHOLE)
def test_an_answer_that_may_end_without_a_full_stop_stays(text: str) -> None:
    assert run(frame(answered(text), *map(answered, HABIT))).ledger.is_empty()


def test_what_is_a_habit_at_one_kind_of_place_is_no_sign_there_and_is_one_elsewhere() -> None:
    names = [f"{text} {name}" for text, name in zip(HABIT, ["Jo", "Kim", "Lee", "Max", "Pat"] * 36, strict=True)]
    lists = ["1. Find it.\n2. Send it."] * 30
    signed = frame(
        answered("We have found the lamp. Nora"),
        answered(CUT["a list item"]),
        *map(answered, [*HABIT, *names[:20], *lists]),
    )
    assert told(run(signed))[2]["sign"] == "unended list item after ended ones"
    # Who signs here?
    assert run(frame(answered("We have found the lamp. Nora"), *map(answered, HABIT))).ledger.height == 1


def test_an_edited_sentence_ends_as_its_original_does_and_so_do_its_own_words_in_another_order() -> None:
    for asked, text in [
        ("Correct this.\nWe has found the lamp in the shop", "We have found the lamp in the shop"),
        ('Replace a word: "We found the lamp in the shop"', "We found the lantern in the shop"),
        ("Sort the words.\nfound the lamp shop in we the", "found in lamp shop the the we the"),
        ("Write a slogan for our shop.", "We have found a lamp that is for you"),
        ("Write a slogan for the title page.", "We have found a lamp that is for you"),
    ]:
        assert run(frame(answered(text, asked), *map(answered, HABIT))).ledger.is_empty()
        assert run(frame(answered(text), *map(answered, HABIT))).ledger.height == 1


def test_a_copy_that_stops_where_its_original_goes_on_was_cut() -> None:
    asked = "Repair this.\nWe has found the lamp in the old shop of the town"
    assert (
        run(frame(answered("We found the lamp in the old shop of the", asked), *map(answered, HABIT))).ledger.height
        == 1
    )


def test_a_list_in_the_open_with_fewer_items_than_asked_for_was_cut() -> None:
    within = "The five gifts are: 1) a lamp that is grey; 2) a kettle of blue"
    for text in (within, "Five popular gifts are lamps and kettles"):
        assert told(run(frame(answered(text, "Name five popular gifts"), *map(answered, HABIT))))[2]["asked_for"] == 5
        assert run(frame(answered(text, "Name popular gifts"), *map(answered, HABIT))).ledger.is_empty()
    items = "- Lamp\n- Kettle\n- Chair"
    rows = frame(
        answered(items, "Name five popular gifts"),
        answered(items, "Name 3 gifts of the last 5 years"),
        *map(answered, HABIT),
    )
    assert told(run(rows))[2] == {
        "message": 2,
        "characters": len(items),
        "sign": "fewer list items than asked for",
        "items": 3,
        "asked_for": 5,
    }


def test_where_full_stops_are_not_usual_nothing_was_cut() -> None:
    chatty = [text.removesuffix(".") for text in HABIT]
    assert run(frame(answered(CUT["an unended sentence"]), *map(answered, chatty))).ledger.is_empty()


# ---------------------------------------------------------------- language

FOREIGN = {
    "Wir prüfen gerade, wo Ihr Paket ist, und melden uns dann.": "de",
    "Votre commande a été annulée, nous le regrettons.": "fr",
    "Zamówienie zostało anulowane, przepraszamy.": "pl",
    "Мы проверяем, где находится ваша посылка.": "ru",
    '{"intent": "other", "reply": "Bitte senden Sie uns ein Foto des Schadens."}': "de",
}


@pytest.mark.parametrize("text", FOREIGN)
def test_an_answer_in_a_language_that_the_recipe_does_not_name_is_seen(text: str) -> None:
    action, reason, evidence = told(run(frame(answered(text)), languages=("en",)))
    assert (action, reason, evidence["language"]) == ("quarantined", "answer in another language", FOREIGN[text])
    assert run(frame(answered(text)), languages=("en", FOREIGN[text])).ledger.is_empty()
    assert run(frame(answered(text))).ledger.is_empty()  # none named, none checked


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Guten Tag",
        "ok",
        "12 + 4 = 16",
        "def f(x):\n    return x",
        "Paris, Lyon, Nice",
        "K.k:)apo k.good movie.",
        '{"intent": "autre"}',
    ],
)
def test_short_mixed_and_formal_texts_are_not_called_foreign(text: str) -> None:
    assert run(frame(answered(text)), languages=("en",)).ledger.is_empty()


def test_language_is_judged_where_the_kind_has_text_and_not_where_it_was_asked_for() -> None:
    german = next(iter(FOREIGN))
    assert (
        told(run(frame(answered("other", german)), "classification", languages=("en",)))[1]
        == "text in another language"
    )
    assert run(frame(answered(german, "Translate: we look where it is.")), languages=("en",)).ledger.is_empty()
    with pytest.raises(RecipeError, match="'english' is no language"):
        run(frame(answered(GOOD)), languages=("english",))


# ---------------------------------------------------------------- length


def model(home: Path, context: int) -> Handle:
    """A base model as fetch leaves it, as far as filter looks: a tokenizer for which a word is a token, and the
    context.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = home / f"base-{context}"
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(folder / "model")
    (folder / FACTS).write_text(json.dumps({"digest": "0" * 64, "parameters": 1, "context": context}))
    (folder / TOLD).write_text("{}")
    return Handle.of(folder, step="fetch", kind="model", digest="0")


def test_a_row_longer_than_the_model_can_hold_is_seen_and_one_that_just_fits_stays(home: Path) -> None:
    rows = frame(answered("one two three", "four five six"), answered("one", "two"))
    evidence = {"tokens": 6, "context": 5}
    assert told(run(rows, base=model(home, 5))) == ("quarantined", "longer than the model can hold", evidence)
    assert run(rows, base=model(home, 6)).ledger.is_empty()
    pair = frame(answered("one", "two three"), rejected="four five six seven")
    assert told(run(pair, "preference", base=model(home, 4)))[2] == {"tokens": 6, "context": 4}


# ---------------------------------------------------------------- the recipe's choice, and rules of one's own


def test_what_becomes_of_a_row_is_chosen_for_each_rule() -> None:
    rows = frame(answered(BOILERPLATE[0]), answered(""))
    assert run(rows, actions={"boilerplate": "drop", "empty": "off"}).ledger["action"].to_list() == ["dropped"]
    with pytest.raises(ValidationError):
        FilterSettings.model_validate({"actions": {"boilerplat": "drop"}})


def test_labels_are_not_judged_as_written_text() -> None:
    labels = ["A colleague will get back to you.", "no " * 40, "We have found the"]
    assert run(frame(*map(answered, labels)), "classification").ledger.is_empty()


OWN = """
def sure(row):
    if row["meta"].get("score", 1) < 0.5:
        return "drop", "score is low", {"score": row["meta"]["score"]}
def nonsense(row):
    return "away with it"
def broken(row):
    return row["nothing"]
"""


def test_a_rule_of_ones_own_stands_beside_the_recipe_or_in_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.py").write_text(OWN)
    rows = frame(answered(GOOD), answered(GOOD)).with_columns(meta=pl.Series(['{"score": 0.4}', '{"score": 0.6}']))
    want = ("dropped", "score is low", {"score": 0.4})
    assert told(run(rows, folder=tmp_path, rules=("rules.py:sure",))) == want
    (tmp_path / "ours_in_test").mkdir()
    (tmp_path / "ours_in_test" / "__init__.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert told(run(rows, rules=("ours_in_test:sure",))) == want


def test_a_rule_is_known_by_what_its_code_says(tmp_path: Path) -> None:
    file = tmp_path / "rules.py"
    file.write_text(OWN)
    (before,) = find_rules(("rules.py:sure",), tmp_path)
    file.write_text(OWN.replace("0.5", "0.6"))
    (after,) = find_rules(("rules.py:sure",), tmp_path)
    assert before.digest != after.digest
    assert "file" not in after.model_dump(mode="json")  # another machine's path is no other rule


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("rules.py:nonsense", "returned str"),
        ("rules.py:broken", "fails on row 0001: KeyError"),
        ("rules.py:absent", "cannot be loaded"),
        ("none.py:f", "names no file"),
        ("no_such_module:f", "names no module"),
        ("rules.py", "does not name a function"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "rules.py").write_text(OWN)
    with pytest.raises(RecipeError, match=problem) as caught:
        run(frame(answered(GOOD)), folder=tmp_path, rules=(name,))
    assert name in str(caught.value)


def test_the_phrases_are_part_of_what_decides_a_row() -> None:
    assert {"tasks.curation.filters.boilerplate: phrases", "tasks.curation.filters.truncated"} <= set(
        code_files("tasks.curation.filter")
    )


# ---------------------------------------------------------------- properties

TEXTS = st.sampled_from(
    [
        GOOD,
        "",
        " ",
        "As an AI, I cannot help.",
        "no " * 40,
        next(iter(FOREIGN)),
        "a\x00",
        *CUT.values(),
        *HABIT[:9],
        "Where is it?",
        "Where is it, and why is it late?",
    ]
)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(TEXTS, TEXTS), max_size=30),
    st.sampled_from(["sft", "preference", "classification"]),
    st.integers(0, 99),
)
def test_the_order_of_rows_is_of_no_account_and_kept_rows_are_untouched(pairs: Any, kind: str, seed: int) -> None:
    rows = frame(
        *(answered(*pair) for pair in pairs), *map(answered, HABIT[:60]), rejected="x" if kind == "preference" else None
    )
    once = run(rows, kind, languages=("en",))
    order = random.Random(seed).sample(range(rows.height), rows.height)
    other = run(rows[order], kind, languages=("en",))
    assert other.kept.equals(once.kept)
    assert other.ledger.equals(once.ledger)
    assert once.kept.equals(rows.join(once.kept.select("row_id"), on="row_id", how="semi").sort("row_id"))


@pytest.mark.timeout(100)  # a quadratic pattern takes many minutes on these
def test_long_odd_texts_are_gone_through_like_any() -> None:

    letters = "".join(random.Random(1).choices("abcdefghijklmnop", k=300_000))
    odd = [
        "{'a':" * 80_000,
        letters,
        f"{letters}. Then {letters}",
        ", " * 200_000,
        "a " * 200_000,
        "aA" * 200_000,
        ("word " * 999 + "\n") * 40,
        "```" * 100_001,
        "1. x\n" * 80_000,
        "I cannot " * 50_000,
    ]
    run(frame(*map(answered, odd), *map(answered, HABIT)), languages=("en",))
