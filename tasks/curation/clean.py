"""Clean: Unicode repair; in users' messages also HTML to text, blanks, quoted mails and signatures.

Turns after the last answer go.

Assistant, system and other turns, and a pair's rejected answer, get Unicode repair and trimmed ends only, so a clean
JSON answer comes out byte for byte. The rules are applied until none changes anything, so clean(clean(x)) == clean(x),
also for text that was escaped twice.

What a text may be about is never touched: code (cleaning/code.py), markup between words, the tabs and columns of a
table, characters that are spoken of (cleaning/subject.py); each doubt leaves the text as it was. Kept on purpose,
because people type them and the served model will see them: curly quotes, dashes, full-width characters, joiners inside
emoji and Indic or Persian words, indentation, `a < b`, `<3`, `<name@host>`, and a `<script>` that stands in a message
without any other markup (that is what a person wrote; a script inside an HTML mail is not).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from tasks.core.batches import row_by_row
from tasks.core.ledger import Outcome, changed, entries, entry
from tasks.core.settings import Settings
from tasks.core.text.trimmed import trimmed
from tasks.curation.cleaning import mail
from tasks.curation.cleaning.blanks import tidy_blanks
from tasks.curation.cleaning.code import is_listing, masked, unmasked
from tasks.curation.cleaning.markup import has_breaks, has_markup, html_to_text, is_html
from tasks.curation.cleaning.subject import speaks_of_characters
from tasks.curation.cleaning.unicode_repair import line_breaks, repair

Rule = tuple[str, Callable[[str], str]]  # its name in the ledger, and what it does
UNICODE: Rule = ("Unicode", repair)
HTML: Rule = ("HTML", html_to_text)
_NOT_PLAIN = r"[^\t\n\x20-\x7E]|^\s|\s$"  # as Polars' regular expressions have it: $ is the end of the text
_NOT_PLAIN_LINE = r"[^\x20-\x7E]|[<&]|  |^ | $"  # a quote or a signature takes a line of its own, with another above it


class CleanSettings(Settings):
    """Which rules apply to users' messages; Unicode repair and blanks always do."""

    # Off where HTML is the subject and not the wrapping, as in questions about web pages.
    html: bool = True
    # Off where the quoted mail is part of what must be understood.
    quoted_replies: bool = True
    # Off where letters are the subject, closing and all.
    signatures: bool = True


@row_by_row()
def clean(rows: pl.DataFrame, settings: CleanSettings) -> Outcome:
    """Clean the messages. kept: rows with clean ones. dropped: rows where a user's message was only markup, quotes or
    signature.
    """
    rules = _rules(settings)
    new: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for given in rows.filter(_suspect() | _goes_on()).iter_rows(named=True):
        row = _until_answer(given)
        fitting = _fitting(rules, row)
        messages, fired, emptied = _clean_messages(row["messages"], fitting)
        rejected = row["rejected"] and _settle(row["rejected"], _light(fitting), fired)
        fired = ["turns after the last answer"] * (row is not given) + list(dict.fromkeys(fired))
        if emptied:
            told.append(entry(given, "dropped", "empty message after cleaning", rules=fired))
        elif fired:
            new.append({**row, "messages": messages, "rejected": rejected})
            told.append(changed(given, new[-1], "text cleaned", rules=fired))
    ledger = entries("clean", told)
    same = rows.join(ledger, on="row_id", how="anti", maintain_order="left")
    return Outcome(pl.concat([same, pl.DataFrame(new, schema=rows.schema)]).sort("row_id"), ledger)


def _suspect() -> pl.Expr:
    """Whether a row could have anything that a rule changes: all but a user's line in plain ASCII, and trimmed plain
    ASCII.
    """
    message = pl.element().struct
    line = message.field("role") == "user"
    odd = pl.when(line).then(message.field("content").str.contains(_NOT_PLAIN_LINE))
    turns = pl.col("messages").list.eval(odd.otherwise(message.field("content").str.contains(_NOT_PLAIN))).list.any()
    return turns | pl.col("rejected").str.contains(_NOT_PLAIN).fill_null(False)


def _goes_on() -> pl.Expr:
    """Whether a row has turns after its last answer."""
    roles = pl.col("messages").list.eval(pl.element().struct.field("role"))
    return (roles.list.last() != "assistant") & roles.list.contains("assistant")


def _until_answer(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the turns after its last answer (a user's thanks): nothing is learnt from them."""
    roles = [message["role"] for message in row["messages"]]
    if roles[-1:] == ["assistant"] or "assistant" not in roles:
        return row
    end = len(roles) - roles[::-1].index("assistant")
    return {**row, **{name: row[name] and row[name][:end] for name in ("messages", "weights", "calls")}}


def _rules(settings: CleanSettings) -> list[Rule]:
    chosen: list[tuple[bool, Rule]] = [
        (True, UNICODE),
        (settings.html, HTML),
        (True, ("blanks", tidy_blanks)),
        (settings.quoted_replies, ("quoted reply", mail.without_quotes)),
        (settings.signatures, ("signature", mail.without_signature)),
    ]
    return [rule for wanted, rule in chosen if wanted]


def _light(rules: list[Rule]) -> list[Rule]:
    """Those of the rules that other texts than a user's get."""
    return [*(rule for rule in rules if rule is UNICODE), ("blanks", trimmed)]


def _fitting(rules: list[Rule], row: dict[str, Any]) -> list[Rule]:
    """Without the rules whose matter the row is about: where it speaks of characters, or answers in markup."""
    said = [(message["role"], message["content"] or "") for message in row["messages"] if message["role"] != "system"]
    about = {UNICODE} if any(speaks_of_characters(text) for _, text in said) else set()
    about |= {HTML} if any(role == "assistant" and has_markup(text) for role, text in said) else set()
    return [rule for rule in rules if rule not in about]


def _clean_messages(messages: list[dict[str, str]], rules: list[Rule]) -> tuple[list[dict[str, str]], list[str], bool]:
    """(clean messages, names of the rules that changed something, whether a user's message lost all it had)."""
    fired: list[str] = []
    cleaned: list[dict[str, str]] = []
    emptied = False
    for message in messages:
        user = message["role"] == "user"
        given = message["content"] or ""
        text = _settle(given, rules if user and not _is_source(given) else _light(rules), fired)
        emptied |= user and not text and bool(given.strip())
        cleaned.append({"role": message["role"], "content": text})
    return cleaned, fired, emptied


def _is_source(text: str) -> bool:
    """Whether a message shows code or markup, and not only a message in markup."""
    return not is_html(text) and (is_listing(text) or (has_markup(text) and not has_breaks(text)))


def _settle(text: str, rules: list[Rule], fired: list[str]) -> str:
    """The text once no rule changes it any more. Each rule only takes away or normalises, so this ends. Rules see code
    as one word; only line breaks, which are the export's and not the writer's, are made one kind in it too.
    """
    broken, text = text, line_breaks(text)
    fired += ["Unicode"] * (text != broken)
    while True:
        before = text
        for name, rule in rules:
            words, code = masked(text, is_html(text))
            after = unmasked(rule(words), code)
            if after != text:
                fired.append(name)
                text = after
        if text == before:
            return text
