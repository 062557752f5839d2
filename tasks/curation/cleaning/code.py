"""Code in a text, which no rule of cleaning touches: each piece is one word to them.

Code is what stands in fences and code spans, in lines indented as code is, and in lines that are written as code is and
as prose is not (`total = price * 2`, `def f(x):`, `SELECT id FROM orders`).
"""

from __future__ import annotations

import re

# Of HTML the indentation is its layout, and its styles and attributes look like code.
_QUOTED = r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|(?<!`)`[^`\n]+`(?!`)"
_INDENTED_LINE = r"(?: {4}|\t)[^\n]*\S"
_INDENTED = rf"(?:\A|(?<=\n)){_INDENTED_LINE}(?:[ \t]*\n{_INDENTED_LINE})*"
_WORDS = (  # that begin a line of code and hardly one of prose, with what follows them there
    r"(?:async )?def \w+\s*\(|class \w+\s*[({:]|(?:from [\w.]+ )?import [\w.{*]|#include\b|using [\w:.]+;|"
    r"package [\w.]+;|(?:public|private|protected|static|final|export)(?: \w+)+[\s({=;]|(?:const|let|var|val) [\w{\[]|"
    r"func(?:tion)? ?\w*\(|fn \w+|return[ ;(].*[;()\[\]{}=+*/]|(?:else|try|finally|do)\s*[:{]|"
    r"(?:if|for|while|elif|switch|catch)\b[^\n]*[:{)]\s*$|INSERT INTO\b|UPDATE \w+ SET\b|DELETE FROM\b|"
    r"(?:SELECT|FROM|WHERE|HAVING|GROUP BY|ORDER BY|VALUES|UNION|(?:LEFT |RIGHT |INNER )?JOIN)\b|"
    r"CREATE (?:TABLE|INDEX|VIEW)\b|ALTER TABLE\b|<\?php|#!/|>>> |\.\.\. |@\w+\(|\$ \w|[-+]{3} [ab]/|@@ "
)
_MARKS = r"=>|->|::|[=!]==?\s|&&|\|\||\+=|:=|\w\(\)|\);|\};|\{\{|\}\}|\w\[\d+\]"
_ASSIGNED = r"[\w.$\[\]'\"]+\s*=\s*\S"
_ENDED = r"(?![^\n]*&#?\w+;)[^\n]*[;{}]\s*$"  # an entity ends in a semicolon too
_LINE = rf"(?:\A|(?<=\n))[ \t]*+(?:{_WORDS}|{_ASSIGNED}|(?=[^\n]*(?:{_MARKS}))|(?={_ENDED}))[^\n]*"
_IN_HTML = re.compile(_QUOTED, re.S)
_ANYWHERE = re.compile(rf"{_QUOTED}|{_INDENTED}", re.S)
_LINES = re.compile(_LINE, re.M)
LISTED, SHARE = 2, 0.15  # lines of code, and their share, from which a text is a listing
_MASK = re.compile("\ue000(\\d+)\ue001")


def without_code(text: str) -> str:
    """The text without what is quoted as code: what its writer says around it."""
    return _IN_HTML.sub(" ", text)


def is_listing(text: str) -> bool:
    """Whether much of a text is code without a fence, comments and all: then its blanks and lines are code too."""
    lines = [line for line in _IN_HTML.sub(" ", text).split("\n") if line.strip()]
    code = sum(bool(_LINES.match(line)) for line in lines)
    return code >= LISTED and code >= SHARE * len(lines)


def masked(text: str, is_html: bool) -> tuple[str, list[str]]:
    """The text with each piece of code as one word of private characters, and the pieces."""
    if "\ue000" in text:
        return text, []
    code: list[str] = []

    def mask(found: re.Match[str]) -> str:
        if not found[0].strip() or _MASK.fullmatch(found[0].strip()):
            return found[0]
        code.append(found[0])
        return f"\ue000{len(code) - 1}\ue001"

    if is_html:
        return _IN_HTML.sub(mask, text), code
    return _LINES.sub(mask, _ANYWHERE.sub(mask, text)), code


def unmasked(text: str, code: list[str]) -> str:
    """The text with its code, also where a line of code held a piece."""
    while code and _MASK.search(text):
        text = _MASK.sub(lambda found: code[int(found[1])], text)
    return text
