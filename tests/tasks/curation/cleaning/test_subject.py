"""What a text is about stays to the letter: markup, characters, tables, code without a fence; exports are still mended."""

from __future__ import annotations

import pytest

from tasks.curation.clean import CleanSettings, _clean_messages, _fitting, _rules

ABOUT = [
    'Why does <div class="card">one</div> stand left of the others?',
    "Is it <br> or <br/>?",
    "In Vue: <template><li v-for='one in all'>{{ one }}</li></template> warns.",
    "<button onclick='go()'>Go</button>",
    "<ul>{rows.map(row => <li>{row}</li>)}</ul>",
    "Turn it into Markdown: <b>Sale</b> ends <i>today</i>",
    "Take the addresses out of: <a href='https://x.example'>X</a>, <a href='https://y.example'>Y</a>",
    "How do I write &copy; and &euro;?",
    "My page shows &amp;amp; where & should stand",
    "What is the difference between &lt; and &#60;?",
    "name\tage\nTom\t31\nAnne\t28",
    "Split at the tab: a\tb\tc",
    "name  age  town\nTom   31   Ghent\nAnne  28   Lille",
    "(A) dismissed   (B) concealed   (C) sought",
    "Is 'a  b' longer than 'a b'?",
    "total  =  price * (1 + rate)\nprint( total )",
    "SELECT  id,\n        name\nFROM    orders",
    "for (int i = 0;  i < n;  i++) {\n    sum  +=  i;\n}",
    "Why is it Ã¼ and not ü? Something in the encoding?",
    "Which ligature is ﬀ?",
    "~~~\n<p>a  b</p>\n~~~",
]


def cleaned(text: str, answer: str = "ok", role: str = "user") -> str:
    messages = [{"role": role, "content": text}, {"role": "assistant", "content": answer}]
    rules = _fitting(_rules(CleanSettings()), {"messages": messages})
    return _clean_messages(messages, rules)[0][0]["content"]


@pytest.mark.parametrize("text", ABOUT)
def test_the_subject_of_a_text_stays_to_the_letter(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("Hello<div>my lamp broke.</div><div><br></div><div>Tom</div>", "Hello\nmy lamp broke.\n\nTom"),
        ("Hello,<br>my lamp broke.<br><br>Tom", "Hello,\nmy lamp broke.\n\nTom"),
        ("Hello,<br />\nmy lamp broke.<br />\nTom", "Hello,\nmy lamp broke.\nTom"),
        ("<table><tr><td>Order</td><td>HP-1</td></tr></table>", "Order  HP-1"),
        ("Harbour &amp; Pine sent me two", "Harbour & Pine sent me two"),
        ("it&#39;s &quot;late&quot; &ndash; again", 'it\'s "late" – again'),
        ("the  lamp  broke and  so did the   vase", "the lamp broke and so did the vase"),
        ("the cafÃ© on the corner", "the café on the corner"),
    ],
)
def test_what_an_export_left_is_still_mended(dirty: str, clean: str) -> None:
    assert cleaned(dirty).replace("  ", " ") == clean.replace("  ", " ")


def test_a_question_in_markup_that_is_answered_in_markup_stays() -> None:
    assert cleaned("<p>Sale ends today</p>", "<h1>Sale ends today</h1>") == "<p>Sale ends today</p>"
    assert cleaned("<p>Sale ends today</p>") == "Sale ends today"


def test_what_an_earlier_turn_is_about_counts_as_well() -> None:
    turns = [
        ("user", "Which ligature is ﬀ?"),
        ("assistant", "Of two f."),
        ("user", "And ﬁ?"),
        ("assistant", "Of f and i."),
    ]
    messages = [{"role": role, "content": text} for role, text in turns]
    assert _clean_messages(messages, _fitting(_rules(CleanSettings()), {"messages": messages}))[0] == messages


def test_an_answer_about_a_character_keeps_it() -> None:
    messages = [{"role": "user", "content": "Which Unicode name has ﬁ?"}, {"role": "assistant", "content": "It is ﬁ."}]
    assert _clean_messages(messages, _fitting(_rules(CleanSettings()), {"messages": messages}))[0] == messages
