"""Quoted mails and signatures around the message of a mail.

Own rules, because what is cut by mistake is lost for good. mail-parser-reply 1.36, the maintained library for this,
was tried: a line that begins with "Thanks," ends the message for it ("Thanks, but I want my money back ..."), so does
a list item ("- two lamps"), and it strips the indentation of code. These rules cut only what they recognise as a
whole, keep what a person wrote below a quote, and never cut everything: a message that is only a signature is what
was sent. English, German, Dutch, French, Spanish and Italian.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

# "On Tue, 3 Mar 2026 at 12:32, Jo Smith <jo@example.com> wrote:", folded over at most two lines.
_FIRST = r"(?:On|Am|Op|Le|El|Il)\b"
_WROTE = r"wrote|schrieb|schreef|a écrit|escribió|ha scritto"
_ATTRIBUTION = re.compile(
    rf"^{_FIRST}[^\n]{{4,200}}?(?:\n(?!{_FIRST})[^\n]{{0,120}}?)?\b(?:{_WROTE})\b[^\n:]{{0,80}}:[ \t]*$", re.M | re.I
)
_MARKED = re.compile(_ATTRIBUTION.pattern + r"\n*(?:[ \t]*>[^\n]*(?:\n+(?=[ \t]*>)|\n|$))+", re.M | re.I)
# A clock time or an address, which redact may have taken: a mail program wrote this, not a person.
_STAMP = re.compile(r"\d[:.h]\d\d|@|<EMAIL_\d+>")
_ORIGINAL = re.compile(
    r"^[ \t]*-{2,} ?(?:Original Message|Ursprüngliche Nachricht|Oorspronkelijk bericht|Message d'origine|"
    r"Mensaje original|Messaggio originale) ?-{2,}[ \t]*$",
    re.M | re.I,
)
# Outlook's header of the mail below: the sender and at least two more of its lines. Case matters: people write "to:".
_HEADERS = re.compile(
    r"^(?:_{10,}\n+)?\*?(?:From|Von|Van|De|Da)\*?:[^\n]+\n+"
    r"(?:\*?(?:Sent|Date|To|Cc|Subject|Gesendet|Datum|An|Betreff|Verzonden|Aan|Onderwerp|Envoyé|À|Objet|Enviado|Para|"
    r"Asunto|Inviato|A|Oggetto)\*? ?:[^\n]*(?:\n+|$)){2,}",
    re.M,
)

_DEVICE = re.compile(
    r"(?:Sent (?:from|via) (?:my|Outlook|Mail|Yahoo|Samsung|Gmail|Proton)|Get Outlook for|Verzonden (?:vanaf|met) |"
    r"Von meinem .{2,30} gesendet|Gesendet (?:von|mit) |Envoyé (?:de|depuis) |Enviado desde |Inviato da )",
    re.I,
)
_CLOSING = re.compile(
    r"(?:(?:(?:with )?(?:kind|kindest|best|warm|warmest|many) )?regards|best wishes|all the best|best|cheers|kr|"
    r"(?:many |with )?thanks(?: again| in advance| and (?:kind |best )?regards)?|thank you(?: in advance)?|take care|"
    r"(?:yours )?(?:sincerely|faithfully|truly)|mfg|mit freundliche[nm] gr(?:ü|ue)(?:ß|ss)(?:en)?|"
    r"(?:(?:viele|liebe|beste|schöne|herzliche) )?gr(?:ü|ue)(?:ß|ss)e|mvg|"
    r"(?:met )?(?:vriendelijke|hartelijke) groet(?:en)?|"
    r"groet(?:en|jes)|(?:alvast )?bedankt|cordialement|bien à vous|(?:un )?saludos?|atentamente|cordiali saluti|grazie)"
    r"\s*[,.!]*",
    re.I,
)
# A greeting below the first line, and a line that names a mail and is no header of one ("Subject: your message").
_GREETING = re.compile(
    r"\n[ \t]*(?:dear|hi|hello|hey|good (?:morning|afternoon|evening)|hallo|sehr geehrte\w*|guten "
    r"(?:tag|morgen)|bonjour"
    r"|(?:liebe[rs]?|beste)(?! *(?:gr|w))|ch[eè]re?s?|estimad[oa]s?|hola|gentile|buongiorno)\b",
    re.I,
)
_MAIL_NAMED = re.compile(
    r"^(?![\w -]{1,20}: ?\S)[^\n]{0,300}"
    r"\b(?:e-?mail|mail|letter|message|brief|nachricht|courriel|lettre|correo|carta"
    r"|bericht)\b[^\n]{0,300}[.:?!][ \t]*$",
    re.M | re.I,
)
_PARTICLES = {"de", "der", "den", "van", "von", "la", "le", "di", "of", "&", "and", "the"}
_NOT_SIGNED = re.compile(r"\?|^p\.? ?s\b", re.I)  # a question or a postscript is part of the message
# What stands in a signature and hardly in a message: an address, a page, a telephone number.
_CONTACT = re.compile(r"@|www\.|https?://|<(?:EMAIL|PHONE)_\d+>|(?:\d[ ()/.+-]*){6}")
_FOOTER = re.compile(
    r"\b(?:print\w*|confidential\w*|disclaimer|intended|unsubscribe|virus\w*|registered|vertraulich\w*|ausdrucken|umwelt)\b",
    re.I,
)
DELIMITER = "-- "  # with its blank, as RFC 3676 has it
SIGNATURE_LINES = 8  # the customary limit is four; with a disclaimer twice that
CLOSING_LINES = 5  # a name and up to four lines of role, company, telephone
LINE_CHARACTERS = 60  # longer is a sentence, not a signature's line


def without_quotes(text: str) -> str:
    """The text without the mail that it answers. What stands below a quote marked by `>` stays, so
    does a lone quote.
    """
    above = _MARKED.sub("\n\n", text)
    below = next((found for found in _ATTRIBUTION.finditer(above) if _STAMP.search(found[0])), None)
    below = below or _ORIGINAL.search(above)
    below = below or next((found for found in _HEADERS.finditer(above) if _STAMP.search(found[0])), None)
    if above == text and not below:
        return text
    return (above[: below.start()] if below else above).strip() or text


def without_signature(text: str) -> str:
    """The text without a signature below it: a device's line, what follows `-- `, or a closing and a name."""
    if _is_about_a_mail(text):
        return text
    lines = text.rstrip().split("\n")
    while (start := _signature_start(lines)) is not None:
        del lines[start:]
    return "\n".join(lines).rstrip() or text


def _is_about_a_mail(text: str) -> bool:
    """Whether a mail stands below what is said about it ("Summarize this email."), so that its closing is the matter
    too.
    """
    greeting = _GREETING.search(text)
    return greeting is not None and _MAIL_NAMED.search(text, 0, greeting.start()) is not None


def _signature_start(lines: list[str]) -> int | None:
    """Where the signature at the end begins, if there is one with something above it."""
    if lines and _DEVICE.match(lines[-1]) and len(lines[-1]) <= LINE_CHARACTERS:
        return len(lines) - 1
    for start in range(max(1, len(lines) - 2 * SIGNATURE_LINES), len(lines)):
        below = [line.strip() for line in lines[start + 1 :] if line.strip()]
        if not below or not any(map(str.strip, islice(lines, start))):
            continue
        delimited = lines[start].rstrip() == "--" and len(below) <= SIGNATURE_LINES and _is_signed(lines[start], below)
        closed = _is_closing(lines[start], below) and not _CLOSING.fullmatch(lines[start - 1].strip())
        if delimited or (closed and _ends_there(lines[start + 1 :])):
            return start
    return None


def _is_signed(delimiter: str, below: Sequence[str]) -> bool:
    """Whether a name, a way to write back or a footer stands below a delimiter, and not the next query or item. One
    word below two bare dashes is as often an item.
    """
    named = _is_name(below[0]) and (delimiter == DELIMITER or len(below[0].split()) > 1)
    return named or any(_CONTACT.search(line) or _DEVICE.match(line) or _FOOTER.search(line) for line in below)


def _ends_there(lines: Sequence[str]) -> bool:
    """Whether what follows a closing is a signature to the end: no list of words, and no message that goes on in a
    paragraph of its own.
    """
    blocks = [block.split("\n") for block in re.split(r"\n\s*\n", "\n".join(lines).strip())]
    first = [line.strip() for line in blocks[0]]
    if _CLOSING.fullmatch(first[0]):
        return False
    if len(first) > 1 and all(len(line.split()) == 1 and not _CONTACT.search(line) for line in first):
        return False  # one word a line
    rest = [" ".join(block).strip() for block in blocks[1:]]
    return all(_CONTACT.search(text) or _FOOTER.search(text) or _DEVICE.match(text) or _is_name(text) for text in rest)


def is_farewell(text: str) -> bool:
    """Whether it begins as a mail's closing does: "Kind regards, Jo at Harbour & Pine"."""
    found = _CLOSING.match(text.strip())
    return found is not None and not text.strip()[found.end() : found.end() + 1].isalpha()


def _is_closing(line: str, below: list[str]) -> bool:
    return (
        _CLOSING.fullmatch(line.strip()) is not None
        and len(below) <= CLOSING_LINES
        and _is_name(below[0])
        and not any(len(line) > LINE_CHARACTERS or _NOT_SIGNED.search(line) for line in below)
    )


def _is_name(line: str) -> bool:
    """One to four capitalised words without digits: `Mrs P. Holland`, `Marieke de Vries`, `- Tom`."""
    words = line.lstrip("-– ").rstrip(".,").split()
    return 1 <= len(words) <= 4 and all(word in _PARTICLES or _is_name_word(word) for word in words)


def _is_name_word(word: str) -> bool:
    return word[0].isupper() and word.replace(".", "").replace("-", "").replace("'", "").replace("’", "").isalpha()
