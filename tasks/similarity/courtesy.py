"""Greetings and thanks at the ends of a text: words that ask nothing, in a dozen languages."""

from __future__ import annotations

import polars as pl

# English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian; then languages without spaces.
_SPACED = (
    "please|pls|plz|(?:many )?thanks(?: a lot| so much| again| in advance)?|thank you(?: (?:so|very) much| in advance)?"
    "|thx|(?:hello|hi|hey)(?: there)?|good (?:morning|afternoon|evening)|(?:kind |best )?regards|cheers"
    "|bitte|danke(?: schön| im voraus)?|vielen dank|hallo|guten (?:morgen|tag|abend)"
    "|mit freundlichen grüßen|viele grüße"
    "|bonjour|bonsoir|salut|merci(?: beaucoup| d'avance)?|s'il (?:vous|te) pla[iî]t|svp|cordialement"
    "|hola|buenos días|buenas tardes|(?:muchas )?gracias|por favor|saludos"
    "|ciao|buongiorno|buonasera|grazie(?: mille)?|per favore|cordiali saluti|olá|bom dia|boa tarde|obrigad[oa]"
    "|goedemorgen|goedemiddag|alstublieft|alsjeblieft|bedankt|dank (?:je|u)(?: wel)?"
    "|cześć|dzień dobry|proszę|dziękuję|здравствуйте|привет|добрый день|пожалуйста|спасибо"
)
_UNSPACED = (
    "您好|你好|谢谢(?:您|你|了)?|謝謝(?:您|你)?|请问|請問|麻烦(?:您|你)?了?|不好意思|打扰了|こんにちは|すみませんが?"
    "|(?:よろしく)?お願い(?:いた|致)?します|ありがとうございま(?:す|した)|안녕하세요|감사합니다|부탁드립니다"
    "|สวัสดี(?:ครับ|ค่ะ|คะ)?|ขอบคุณ(?:ครับ|ค่ะ|มาก)*|(?:นะ)?(?:ครับ|ค่ะ|คะ)"
)
_FIRST = rf"^(?:(?:(?:{_SPACED})\b|{_UNSPACED})[\s\p{{P}}]*)+"
# Behind a colon, a quotation mark or a bracket the word is what is talked about.
_LAST = rf"([^:：\"'“„«「(\s])(?:[\s,.!?;，。！？；、]+(?:{_SPACED})|[\s,.!?;，。！？；、]*(?:{_UNSPACED}))+$"
_END = " .,!?;…。，！？；"


def without_courtesy(text: pl.Expr) -> pl.Expr:
    """Normalised texts (prompts.py) without greeting and thanks at their ends, and without the mark at the end."""
    bare = text.str.replace(_FIRST, "").str.strip_chars_end(_END)
    return bare.str.replace(_LAST, "$1").str.strip_chars_end(_END)
