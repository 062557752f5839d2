"""E-mail and IP addresses, and the names that a recipe lists, in a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from itertools import pairwise

from tasks.personal_data.spans import BLANK, IPV4, UNSPACED, Span

# ---------------------------------------------------------------- e-mail

EMAIL = r"[@＠]|%40|(?i:[(\[{] ?at ?[)\]}])"
# Lengths from RFC 5321; they also keep the time linear in the text. `%40`: in a link; (at), (dot): to hide it from
# machines.
_AT, _DOT = r"(?:[@＠]|%40| ?[(\[{] ?at ?[)\]}] ?)", r"(?:\.| ?[(\[{] ?dot ?[)\]}] ?)"
_EMAIL = re.compile(rf"(?i)(?<!\w)\w[\w.+%'-]{{0,63}}{_AT}(?:[\w-]{{1,63}}{_DOT}){{1,8}}(?P<top>[^\W\d_]{{2,24}})\b")
_IMAGE = {"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js"}  # logo@2x.png; none is a top-level domain


def emails(text: str) -> Iterator[Span]:
    for found in _EMAIL.finditer(text):
        if found["top"].lower() not in _IMAGE and not (found[0].startswith("git@") and text[found.end() :][:1] == ":"):
            yield Span(found.start(), found.end(), re.sub(_DOT, ".", re.sub(_AT, "@", found[0])).casefold())


# ---------------------------------------------------------------- IP addresses

IP = r"\d{1,3}(?:\.\d{1,3}){3}|[23fF][0-9a-fA-F]{3}:[0-9a-fA-F:]{2}"
_V4 = re.compile(rf"(?<![\w.])(?<!\w[/-])({IPV4})(?![\w-]|\.\w)")
_V6 = re.compile(r"(?<![\w:.])[23fF][0-9a-fA-F]{3}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])")
# "version 10.0.19.45", "from 2.0.10.5 to 2.0.11.0", "section 4.12.10.3", "torch==2.1.0.104", "Firefox 115.0.2.1"
_VERSION = re.compile(
    r"(?i)\b(?:versions?|ver|v|releases?|build|firmware|driver|sections?|chapter|clause|article|paragraph|patch|rev|revision|upgraded?"
    r"|oids?|chrom(?:e|ium)|firefox|edge|safari|opera|webview|§)(?:[\W_]+(?:from|to|and|or|is|no|number|[\d.]+\d)){0,4}[\W_]*$"
    r"|(?:[=<>~!]=|~>|[\^~])\s?[\"']?$"
)
# "the server at 5.9.12.77", "ip == '5.9.12.77'", "logged in from 5.9.12.77", "https://5.9.12.77", "root@5.9.12.77"; not
# "SQL Server 10.50.16.2"
_JOINT = r"(?:[\W_]+(?:addr|address|at|is|was|on|from|to|of|by|and|or|the|my|our|your|<ip|[\d.]+\d))"
_BEFORE_HOST = re.compile(
    rf"(?i)(?:\b|_)(?:ips?|ipv4|addr(?:ess(?:es)?)?|adresse|hosts?|hostname|dns|subnet|peers?|visitors?|attackers?|ping(?:s|ed|ing)?"
    rf"|traceroute|ssh|telnet|nslookup|whois|bind|listen(?:s|ing)?|connect\w*|block(?:s|ed|ing)?|ban(?:s|ned|ning)?|remote|src|dst"
    rf"|(?:white|black|allow|deny)list\w*|(?:servers?|clients?|proxy|gateway|router|firewall|requests?|traffic|packets?|attacks?"
    rf"|attempts?|log(?:ged|s|ging)? ?ins?|sign(?:ed|s|ing)? ?ins?|access\w*|(?-i:GET|POST))(?:{_JOINT}|[\"']?[:=]))"
    rf"{_JOINT}{{0,4}}[\W_]*$|://$|\b(?:ssh|scp|sftp|rsync)\b[^\n]*@$|\broot@$"
)
_AFTER_HOST = re.compile(
    r"(?i):\d{2,5}\b|/\d{1,2}\b| -(?: -)? |[\W_]+(?:(?:is|was|has|keeps?|does|did|not|no|longer|again|been)[\W_]+){0,4}"
    r"(?:down|offline|online|(?:un)?reachable|block|bann|connect|log(?:ged|s|ging)\b|try|tries|ping|respon|answer|scann|attack|reques)"
)
_BESIDE_HOST = re.compile(rf"({IPV4})[\s,;]+(?:(?:and|or|und|oder)\s)?$")
_LARGEST_MAJOR = 32  # versions and times begin with a number up to it; so do 14 % of all addresses
# Documentation stands for the public there (RFC 5737, RFC 3849).
_DOCUMENTED = ("192.0.2.", "198.51.100.", "203.0.113.")
_TIMED = re.compile(r"(?:19|20)\d\d:(?:0\d|1[0-2]):[0-3]\d(?::\d\d)+")  # 2024:01:15:12:30:45


def addresses(text: str, private: bool, whole: str = "") -> Iterator[Span]:
    """IP addresses. private: also those that a local network gives out (RFC 1918, RFC 4193, link-local); they lead to
    no person outside. whole: all texts of the row.

    Four numbers may be a version, a time or a section as well. What is called one anywhere in the row is one throughout
    it. What is as small as they are (a first number up to 32, and not two others above 99: 3 of 100 addresses) is an
    address only where the row calls it one once, or writes it as one: after `://`, before a port.
    """
    for found in _V4.finditer(text):
        if _is_host(found[1], private) and _called_host(found[1], f"{text}\n{whole}"):
            yield Span(found.start(), found.end(), found[1])
    for found in _V6.finditer(text):
        # Two groups may be a slice or a name in code: x[2000::2].
        several = sum(map(bool, found[0].split(":"))) >= 3 and not _TIMED.fullmatch(found[0])
        if several and (value := _v6(found[0], private)):
            yield Span(found.start(), found.end(), value)


def _is_host(text: str, private: bool) -> bool:
    """Not 1.2.3.4 and 8.8.8.8: of four single digits only section numbers, versions and public name
    servers are made. Not 120.0.0.0: that is a network at most.
    """
    address = IPv4Address(text)
    single = all(len(part) == 1 for part in text.split(".")) or text.endswith(".0.0")
    if text.startswith(_DOCUMENTED) or (address.is_global and not single and not address.is_multicast):
        return True
    odd = address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved
    return private and address.is_private and not odd


def _called_host(address: str, whole: str) -> bool:
    sure = _is_no_version(address)
    for found in re.finditer(rf"(?<![\w.]){re.escape(address)}(?![\w-]|\.\w)", whole):
        before = whole[max(0, found.start() - 60) : found.start()]
        beside = _BESIDE_HOST.search(before)
        called = _BEFORE_HOST.search(before) or _AFTER_HOST.match(whole, found.end())
        if not called and _VERSION.search(before):
            return False
        sure = sure or called is not None or (beside is not None and _is_no_version(beside[1]))
    return sure


def _is_no_version(address: str) -> bool:
    first, *others = map(int, address.split("."))
    return first > _LARGEST_MAJOR or sum(part > 99 for part in others) > 1 or IPv4Address(address).is_private


def _v6(text: str, private: bool) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return ""
    public = text[0] in "23"  # 2000::/3, all of the public space that is given out
    return address.compressed if public or (private and address.is_private) else ""


# ---------------------------------------------------------------- names

_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")  # an accent may be a character of its own
_BETWEEN = re.compile(rf"[\s.'’{BLANK}-]{{1,3}}")  # blanked: a line break that was written out
_Names = dict[str, list[tuple[str, ...]]]


def folded_name(text: str) -> str:
    """The form in which case, width and the two ways to write an accent do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())


def first_words(listed: Sequence[str]) -> list[str]:
    """The folded first word of each name, in order, each once: what Polars looks for."""
    return sorted(_by_first_word(tuple(listed)))


def listed_names(text: str, listed: Sequence[str]) -> Iterator[Span]:
    """Names as whole words, whatever their case; "Anna's" holds Anna, "Annabel" does not. Of two the longer counts.

    A name in a script without blanks between words is found wherever it stands.
    """
    for name in (name for name in listed if re.search(f"[{UNSPACED}]", name)):
        yield from (Span(found.start(), found.end(), name) for found in re.finditer(re.escape(name), text))
    known = _by_first_word(tuple(listed))
    words = list(_WORD.finditer(text)) if known else []
    for i, word in enumerate(words):
        for parts in known.get(folded_name(word[0]), ()):
            if _follow(text, words[i : i + len(parts)], parts):
                yield Span(word.start(), words[i + len(parts) - 1].end(), " ".join(parts))
                break


def _follow(text: str, words: Sequence[re.Match[str]], parts: tuple[str, ...]) -> bool:
    if tuple(folded_name(word[0]) for word in words) != parts:
        return False
    before, after = text[words[0].start() - 1 : words[0].start()], text[words[-1].end() : words[-1].end() + 1]
    joints = (text[a.end() : b.start()] for a, b in pairwise(words))
    return "_" not in (before, after) and all(_BETWEEN.fullmatch(joint) for joint in joints)


@cache
def _by_first_word(listed: tuple[str, ...]) -> _Names:
    known: _Names = {}
    for name in listed:
        parts = tuple(folded_name(word[0]) for word in _WORD.finditer(name))
        known.setdefault(parts[0], []).append(parts)
    return {first: sorted(set(found), key=lambda parts: (-len(parts), parts)) for first, found in known.items()}
