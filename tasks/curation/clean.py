"""Clean: Unicode repair; in users' messages also HTML to text, blanks, quoted mails and signatures.

Assistant, system and other turns, and a pair's rejected answer, get Unicode repair and trimmed ends only, so a clean
JSON answer comes out byte for byte. The rules are applied until none changes anything, so clean(clean(x)) == clean(x),
also for text that was escaped twice.

Code is never touched: fences, code spans, indented lines. Kept on purpose, because people type them and the served
model will see them: curly quotes, dashes, full-width characters, joiners inside emoji and Indic or Persian words,
indentation, `a < b`, `<3`, `<name@host>`, and a `<script>` that stands in a message without any other markup (that is
what a person wrote; a script inside an HTML mail is not).
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

import polars as pl

from tasks.core.batches import row_by_row
from tasks.core.ledger import Outcome, changed, entries, entry
from tasks.core.settings import Settings
from tasks.curation import mail

Rule = tuple[str, Callable[[str], str]]  # its name in the ledger, and what it does
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
    for row in rows.filter(_suspect()).iter_rows(named=True):
        messages, fired, emptied = _clean_messages(row["messages"], rules)
        rejected = row["rejected"] and _settle(row["rejected"], _light_rules(), fired)
        fired = list(dict.fromkeys(fired))
        if emptied:
            told.append(entry(row, "dropped", "empty message after cleaning", rules=fired))
        elif fired:
            new.append({**row, "messages": messages, "rejected": rejected})
            told.append(changed(row, new[-1], "text cleaned", rules=fired))
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


def _rules(settings: CleanSettings) -> list[Rule]:
    chosen: list[tuple[bool, Rule]] = [
        (True, ("Unicode", repair)),
        (settings.html, ("HTML", html_to_text)),
        (True, ("blanks", tidy_blanks)),
        (settings.quoted_replies, ("quoted reply", mail.without_quotes)),
        (settings.signatures, ("signature", mail.without_signature)),
    ]
    return [rule for wanted, rule in chosen if wanted]


def _light_rules() -> list[Rule]:
    return [("Unicode", repair), ("blanks", trimmed)]


def _clean_messages(messages: list[dict[str, str]], rules: list[Rule]) -> tuple[list[dict[str, str]], list[str], bool]:
    """(clean messages, names of the rules that changed something, whether a user's message lost all it had)."""
    fired: list[str] = []
    cleaned: list[dict[str, str]] = []
    emptied = False
    for message in messages:
        user = message["role"] == "user"
        text = _settle(message["content"] or "", rules if user else _light_rules(), fired)
        emptied |= user and not text and bool((message["content"] or "").strip())
        cleaned.append({"role": message["role"], "content": text})
    return cleaned, fired, emptied


def _settle(text: str, rules: list[Rule], fired: list[str]) -> str:
    """The text once no rule changes it any more. Each rule only takes away or normalises, so this ends. Rules see code
    as one word; only line breaks, which are the export's and not the writer's, are made one kind in it too.
    """
    broken, text = text, _line_breaks(text)
    fired += ["Unicode"] * (text != broken)
    while True:
        before = text
        for name, rule in rules:
            masked, code = _masked(text)
            after = _unmasked(rule(masked), code)
            if after != text:
                fired.append(name)
                text = after
        if text == before:
            return text


# ---------------------------------------------------------------- code

# Fences, code spans, and lines that are indented as code is; of HTML the indentation is its layout.
_QUOTED_CODE = r"```.*?(?:```|\Z)|`[^`\n]+`"
_CODE = re.compile(_QUOTED_CODE, re.S)
_INDENTED_LINE = r"(?: {4}|\t)[^\n]*\S"
_CODE_OR_INDENTED = re.compile(rf"{_QUOTED_CODE}|(?:\A|(?<=\n)){_INDENTED_LINE}(?:[ \t]*\n{_INDENTED_LINE})*", re.S)
_MASK = re.compile("\ue000(\\d+)\ue001")


def _masked(text: str) -> tuple[str, list[str]]:
    """The text with each piece of code as one word of private characters, and the pieces."""
    if "\ue000" in text:
        return text, []
    code: list[str] = []

    def mask(found: re.Match[str]) -> str:
        code.append(found[0])
        return f"\ue000{len(code) - 1}\ue001"

    pattern = _CODE if _is_wrapped(_CODE.sub(" ", text)) else _CODE_OR_INDENTED
    return pattern.sub(mask, text), code


def _unmasked(text: str, code: list[str]) -> str:
    return _MASK.sub(lambda found: code[int(found[1])], text) if code else text


def _line_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


# ---------------------------------------------------------------- Unicode

# Seen by nobody and never typed: zero-width space, word joiner, byte order mark, soft hyphen. U+200C and U+200D stay.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def repair(text: str) -> str:
    """Mojibake, control characters, line breaks and ligatures put right, in NFC (ftfy)."""
    if text.isascii() and not _CONTROL.search(text):
        return text  # nothing that could be broken; ftfy takes 25 µs a message to say the same
    import ftfy

    return _INVISIBLE.sub("", ftfy.fix_text(text, _ftfy_config()))


@cache
def _ftfy_config() -> Any:
    import ftfy

    # Entities are a matter of HTML; quotes and widths are how people write.
    return ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, fix_character_width=False, explain=False)


# ---------------------------------------------------------------- HTML

_TAGS = (
    "a|abbr|address|article|aside|b|base|big|blockquote|body|br|caption|center|cite|code|col|colgroup|dd|del|dfn|div|dl|"
    "dt|em|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|img|ins|kbd|label|li|link|main|mark|meta|nav|"
    "ol|p|pre|q|s|samp|section|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul|"
    r"var|wbr|o:\w+|v:\w+|w:\w+"  # the last three are Outlook's
)
_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
# What nobody types by chance: a closing tag, an element that stands alone, an opening tag with attributes. Not a title
# alone: that is XML someone asks about, and HTML to text would take its content for a page's name and leave it out.
_MARKUP = re.compile(rf"</(?!title)(?:{_TAGS})\s*>|<(?:br|hr|wbr)\s*/?>|<(?:{_TAGS})(?:{_ATTRIBUTE})+\s*/?>", re.I)
_IMAGE = re.compile(r"<img\b", re.I)
_SUBJECT = re.compile(r"\b(?:x?html\d?|xml|css|svg|markup|tags?)\b", re.I)
_ANY_TAG = re.compile(rf"<(?:{_TAGS})\b", re.I)
_BLOCKS = re.compile(r"</?(?:br|p|div|li|tr|td|h[1-6]|ul|ol|table|blockquote|pre|body|html|hr)\b", re.I)
_STRAY = re.compile(rf"<(?!/?(?:{_TAGS}|script)\b[^<]*>|!--|!\[|!doctype|\?xml)", re.I)
# Entities with their semicolon only, so that ?a=1&reg=2 stays; however often the ampersand was escaped itself.
_ENTITY = r"&(?:amp;)*((?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"


def html_to_text(text: str) -> str:
    """The text of an HTML fragment, with its line breaks; plain text only has its entities decoded."""
    if not _is_wrapped(text):
        return re.sub(_ENTITY, lambda found: html.unescape(f"&{found[1]}"), text)
    from inscriptis import get_text

    if not _BLOCKS.search(text):
        text = text.replace("\n", "<br>")  # inline markup in plain text: its line breaks are meant
    return textwrap.dedent(get_text(_STRAY.sub("&lt;", text), _html_config()))


def _is_wrapped(text: str) -> bool:
    """Whether markup wraps the text. An image alone wraps none, nor is a snippet wrapping below a line that speaks of
    HTML.
    """
    tags = _MARKUP.finditer(text)
    first = next(tags, None)
    if first is None or (_IMAGE.match(first[0]) and all(_IMAGE.match(tag[0]) for tag in tags)):
        return False
    above = text[: first.start()].rpartition("\n")[0]
    return not (_SUBJECT.search(above) and not _ANY_TAG.search(above))


@cache
def _html_config() -> Any:
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig

    return ParserConfig(css=CSS_PROFILES["strict"])  # the relaxed profile pads every element with blanks


# ---------------------------------------------------------------- blanks

# Spaces of other widths, but for the ideographic one, which Japanese and Chinese write on purpose.
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
# Not at the start of a line, where blanks are indentation, also behind the mark of a diff or a list.
_INNER = re.compile(r"(?<=\S)(?<!\A[-+])(?<!\n[-+])(?:[ \t]{2,}|\t)(?=\S)")
_LINES = re.compile(r"\n{3,}")
_EMPTY_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_INDENTED = re.compile(r" {4}|\t")  # as in Markdown


def tidy_blanks(text: str) -> str:
    """One blank between words, no blanks at line ends, at most one empty line, nothing around the text."""
    text = _INNER.sub(" ", _SPACES.sub(" ", text))
    lines = (line if line == mail.DELIMITER else line.rstrip(" \t") for line in text.split("\n"))
    return trimmed(_LINES.sub("\n\n", "\n".join(lines)))


def trimmed(text: str) -> str:
    """Nothing around the text; but where its first line is indented as code is, or others below it are, its indentation
    is part of it.
    """
    text = _EMPTY_LINES.sub("", text.rstrip())
    return text if _INDENTED.match(text) or "\n " in text or "\n\t" in text else text.lstrip()
