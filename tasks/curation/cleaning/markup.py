"""HTML that wraps a message, as mail programs and help desks write it, to text; entities that an export escaped.

Markup that is talked about is the subject and stays. What wraps a message has all of its text inside elements, or has
line breaks in the place of real ones; what stands between words, or is no markup of mails (a button, JSX), wraps none.
"""

from __future__ import annotations

import html
import re
import textwrap
from functools import cache
from typing import Any

from tasks.curation.cleaning.code import without_code
from tasks.curation.cleaning.subject import speaks_of_markup

_TAGS = (
    "a|abbr|address|article|aside|b|base|big|blockquote|body|br|caption|center|cite|code|col|colgroup|dd|del|dfn|div|dl|"
    "dt|em|figcaption|figure|font|footer|h[1-6]|head|header|hr|html|i|img|ins|kbd|li|link|main|mark|meta|nav|"
    "ol|p|pre|q|s|samp|script|section|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|tt|u|"
    r"ul|var|wbr|o:\w+|v:\w+|w:\w+"  # the last three are Outlook's
)
_TAG = re.compile(
    rf"<!--.{{0,3000}}?-->|<!doctype[^>]*>|<\?xml[^>]*>|<!\[[^>]*>|<(/?)({_TAGS})\b((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>",
    re.I | re.S,
)
_VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"))
_UNSEEN = frozenset(("style", "script", "title"))  # what stands in them is no text of the message
_BLOCKS = re.compile(r"</?(?:br|p|div|li|tr|td|h[1-6]|ul|ol|table|blockquote|pre|body|html|hr)\b", re.I)
# Tags that no mail has, and what only code writes into one.
_CODED = re.compile(
    r"</?(?:button|input|select|option|textarea|form|label|svg|path|canvas|iframe|video|audio|template|slot|[a-z]+-[a-z]+|[A-Z]\w*[A-Z]\w*[a-z]\w*)\b"
    r"|\b(?:className|onClick|v-if|ng-\w+)=|=\{|=>"
)
_STRAY = re.compile(rf"<(?!/?(?:{_TAGS})\b[^<]*>|!--|!\[|!doctype|\?xml)", re.I)
# A break in the place of a real one: before a line break, or between the end of a sentence and the next.
_BREAK = r"<br\s*/?>"
_BREAKS = re.compile(rf"(?:{_BREAK}[ \t]*\n?)+", re.I)
_AROUND = frozenset("?!.,;:'\"`()[]{}&-–—…")  # what stands around a word that is spoken of
# Entities with their semicolon only, so that ?a=1&reg=2 stays; however often the ampersand was escaped itself.
_ENTITY = re.compile(r"&(?:amp;)*((?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)")


def html_to_text(text: str) -> str:
    """The text of an HTML message, with its line breaks; of plain text only entities are decoded."""
    if is_html(text):
        from inscriptis import get_text

        return textwrap.dedent(get_text(_STRAY.sub("&lt;", text), _config()))
    if has_breaks(text):
        text = _BREAKS.sub(lambda found: "\n" * len(re.findall(_BREAK, found[0], re.I)), text)
    return _decoded(text)


def is_html(text: str) -> bool:
    """Whether markup wraps the whole text."""
    if "<" not in text or not _BLOCKS.search(text):
        return False
    bare = without_code(text)
    tags = list(_TAG.finditer(bare))
    return bool(tags) and not _CODED.search(bare) and _is_all_inside(bare, tags)


def has_markup(text: str) -> bool:
    """Whether a text has a tag of HTML."""
    return _TAG.search(text) is not None


def _is_all_inside(text: str, tags: list[re.Match[str]]) -> bool:
    """Whether no text stands outside of elements, but for a first line that a <div> or <p> follows at once, as editors
    in web pages write it.
    """
    before = text[: tags[0].start()]
    if before.strip() and not _is_first_line(before, tags[0]):
        return False
    seen, depth = False, 0
    for tag, following in zip(tags, [*tags[1:], None], strict=True):
        name = (tag[2] or "").lower()
        if tag[1]:
            depth = max(0, depth - 1)
        elif name and name not in _VOID and not tag[3].endswith("/"):
            depth += 1
        said = text[tag.end() : following.start() if following else len(text)].strip()
        if said and depth == 0 and name != "br":
            return False
        seen |= bool(said) and name not in _UNSEEN
    return (seen or not before.strip()) and tags[-1][0].endswith(">") and not text[tags[-1].end() :].strip()


def _is_first_line(before: str, tag: re.Match[str]) -> bool:
    return (
        before[-1] not in " \t\n:=(\"'`"
        and (tag[2] or "").lower() in ("div", "p")
        and not tag[1]
        and not tag[3].strip()
        and not speaks_of_markup(before)
    )


def has_breaks(text: str) -> bool:
    """Whether the only tags of a text are <br>, each in the place of a line break."""
    tags = list(_TAG.finditer(text))
    if not tags or any((tag[2] or "").lower() != "br" for tag in tags) or speaks_of_markup(text):
        return False
    for run in _BREAKS.finditer(text):
        before, after = text[: run.start()], text[run.end() :]
        ends = run[0].endswith("\n") or before.rstrip(" ")[-1:] in (*".,;:!?)", "") or len(_BREAKS.findall(text)) > 2
        glued = before[-1:] not in (" ", "\t") and (not after or after[0].isalnum() or run[0].endswith("\n"))
        if not (ends and glued):
            return False
    return True


def _decoded(text: str) -> str:
    """The entities of an export decoded; those of a text that speaks of such, or has them as words of its own, stay."""
    found = list(_ENTITY.finditer(text))
    if not found or speaks_of_markup(text):
        return text
    alone = _ENTITY.sub("", text).strip()  # nothing else: an empty mail
    if alone and not any(_is_glued(text, one) or _joins_names(text, one) for one in found):
        return text
    return _ENTITY.sub(lambda one: html.unescape(f"&{one[1]}"), text)


def _is_glued(text: str, entity: re.Match[str]) -> bool:
    """Whether an entity stands at a word or a sign, as no one writes of one."""
    around = text[max(0, entity.start() - 1) : entity.start()], text[entity.end() : entity.end() + 1]
    return any(char.strip() and char not in _AROUND for char in around)


def _joins_names(text: str, entity: re.Match[str]) -> bool:
    """Whether it is the ampersand between two names."""
    around = re.compile(r"\w[\w.']* \Z").search(text, max(0, entity.start() - 40), entity.start())
    return entity[1] == "amp;" and around is not None and bool(re.match(r" [A-Z]", text[entity.end() :]))


@cache
def _config() -> Any:
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig

    return ParserConfig(css=CSS_PROFILES["strict"])  # the relaxed profile pads every element with blanks
