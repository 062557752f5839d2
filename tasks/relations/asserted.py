"""What a free answer asserts: a verdict, and the facts in its wording. Only these contradict; variety in prose never.

verdict  yes or no at its beginning, or none of what another counts, in any of some languages; or the final answer that
         it names at its end (`#### 12`, `\\\\boxed{12}`, "The answer is B."); or a JSON object's values but for
         sentences (verdicts.py)
facts    its numbers, its names and how often it says "not"; the wording around them is compared, and must be alike.
         Whom it greets and who signs it are no facts
"""

from __future__ import annotations

import re

from tasks.relations.telling_words import masked
from tasks.relations.verdicts import decided_by
from tasks.similarity.words import english_words, words

SHORT = (
    3  # words of an answer that is no sentence: all of it is a verdict, where most answers to its prompt are so short
)

_YES = "yes|yeah|yep|true|correct|ja|oui|vrai|sí|sì|sim|да|tak|evet|是的?|对|可以|能|はい|ได้|ใช่|네"
_NO = "no|nope|false|incorrect|nein|non|faux|não|нет|nie|hayır|不是|不可以|不能|不行|不|否|いいえ|아니요|ไม่ได้|ไม่ใช่|ไม่"
_SUBJECT = r"\s+(?:i|we|you|he|she|it|they|this|that|there|the|your|our)\b"
_LEADS = re.compile(rf"(?i)^\W*(?:(?P<yes>{_YES})|{_NO})(?:\s*(?:[,;:!—–，。！；]|\.(?!\s*\d))|\s*$|{_SUBJECT})")
# "Nothing at all" against "Two years on all parts": one says that there is none of what the other counts.
_NOTHING = "nothing|none|never|nichts|keine[rs]?|niemals|rien|jamais|aucune?|nada|nunca|ningun[oa]?|niente|niets|geen"
_COUNTED = r"\d+|two|three|four|five|six|seven|eight|nine|ten|twelve|everything|always|all"
_AMOUNT = re.compile(rf"(?i)^\W*(?:(?P<nothing>{_NOTHING})|{_COUNTED})\b")
_FINAL = re.compile(
    r"(?is)(?:####\s*(?P<marked>[^\n]+?)|\\boxed\{(?P<boxed>[^{}]+)\}[^\w{}]*"
    r"|\banswer(?: is|:)\s*[*(]*(?P<named>[^\n*()]{1,40}?)[*).]*)\s*$"
)
_GREETING = re.compile(r"(?i)^\s*(?:hi|hello|hey|dear|hallo|liebe[rs]?|bonjour|hola|ciao)\b[^,.!\n]{0,40}[,.!\n]")
_CLOSING = re.compile(
    r"(?i)[\n.!]\s*(?:(?:kind|best|warm|many) )*(?:regards|wishes|thanks|grüßen?|cordialement|saludos)\b"
    r"[,.!\s]*(?:\S+\s*){0,4}$"
)


def verdict(text: str) -> str | None:
    """What an answer decides in so many words, in lower case; None for one that only says something."""
    if (decided := decided_by(text)) is not None:
        return decided
    if lead := _LEADS.match(text):
        return "yes" if lead["yes"] else "no"
    if amount := _AMOUNT.match(text):
        return "nothing" if amount["nothing"] else "something"
    final = _FINAL.search(text)
    return " ".join(final[final.lastgroup or 0].lower().replace(",", "").split()) if final else None


def is_short(text: str) -> bool:
    return english_words(words(text)) <= SHORT


def wording_and_facts(text: str) -> tuple[str, str]:
    """An answer's wording without its facts, and these; without greeting and signature."""
    return masked(_CLOSING.sub("", _GREETING.sub("", text)))
