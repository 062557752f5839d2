"""Addresses: a URL as it is opened, and as it may be shown and kept.

    check_address("https://host/rows.jsonl?token=x")    # ValueError: a recipe or a form holds no key
    whole("env:EXPORT")                                 # the URL in the environment variable EXPORT, key and all
    public(whole("env:EXPORT"))                         # https://host/rows.jsonl, by which its rows are known

What may open something is a user's password, the user of a web address (tokens stand there), and all that follows ? or
#. What `public` leaves out is what `check_address` refuses, so that nobody need tell a key from a harmless word.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

ENV = "env:"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Where a URL begins, in a text or behind the :: of fsspec's chains; one that was taken for a path has lost a slash.
SCHEMES = re.compile(r"(?<![\w+.-])(?=[\w+.-]+://|https?:/)")
SCHEME = re.compile(r"([\w+.-]+):/+")
# A host with or without a port. What else holds an @ has a user, whose password may hold any sign, also a bare / ? or
# #.
HOST = re.compile(r"(?![^/?#]*@)(\[[^\]@/?#]*\]|[^:@/?#]*+)(:\d++)?+(?=[/?#]|\Z)")
TWO_WAYS = re.compile(r"://[^/?#]*@.*@")  # either of the two may be the one before the host
PASSWORD = re.compile(r"""(?i)(?<=password=)[^\s"&]+""")  # of a database's `host=... password=...`
# The rule of check_address for the schema of a form: what Prefect's server refuses, it does not keep with a run. It
# says of a `const` that "... was expected", and of all others their pattern.
KEYED = r"://.*[?#]|://[^/]*:(?!\d+(/|$)).*@|https?://[^/]*@"
NO_KEY = {
    "if": {"type": "string", "pattern": KEYED},
    "then": {"const": "env:NAME in the place of a URL with a password or a key"},
}
WEB = ("http", "https")
SHORTEST = 5  # characters of a secret that is looked for outside its URL; shorter ones are parts of common words


def is_address(source: str) -> bool:
    """Whether it is a URL or env:NAME; else it is a path."""
    return "://" in source or source.startswith(ENV)


def check_address(source: str) -> None:
    """Raise ValueError, without repeating it, for a URL that holds what may be a secret. A path passes."""
    if source.startswith(ENV) and not VARIABLE.fullmatch(source.removeprefix(ENV)):
        raise ValueError("behind env: stands the name of an environment variable, of letters, digits and _")
    if is_address(source) and public(source) != source:
        raise ValueError(
            "a password has no place in a URL that others read, nor has anything behind ? or #, where keys stand; "
            "put the whole URL into an environment variable and write env:NAME"
        )


def resolved(source: str) -> str:
    """What is opened: the URL that env:NAME stands for; any other source is that itself.

    Raises ValueError when the variable is not set, or holds no URL of which it is sure what may be shown.
    """
    if not source.startswith(ENV):
        return source
    name = source.removeprefix(ENV)
    url = os.environ.get(name, "").strip()
    if not url:
        raise ValueError(f"The environment variable {name} is not set")
    if "://" not in url:
        raise ValueError(f"The environment variable {name} holds no URL")
    if TWO_WAYS.search(url):
        raise ValueError(f"The URL in the environment variable {name} holds a second @, which must be written %40")
    return url


def public(url: str) -> str:
    """What of a URL may be shown and kept: scheme, host and path."""
    return _apart(url)[0]


def masked(text: str) -> str:
    """A text of any origin, with the public part of each URL in it."""
    return PASSWORD.sub("***", re.sub(r"\S+", lambda word: public(word[0]) if ":/" in word[0] else word[0], text))


def hidden(text: str, url: str) -> str:
    """What a store said about `url`, without the secrets of that URL, in whatever words it repeats them."""
    secrets = {form for secret in _apart(url)[1] for form in (secret, unquote(secret)) if len(form) >= SHORTEST}
    for secret in sorted(secrets, key=lambda secret: (-len(secret), secret)):
        text = text.replace(secret, "***")
    return masked(text)


def _apart(url: str) -> tuple[str, list[str]]:
    """(its public part, the texts in the rest of it that may open something)."""
    shown, behind, secrets = "", "", list[str]()
    for part in SCHEMES.split(url):
        scheme = SCHEME.match(part)
        if behind:  # the key of a URL may itself hold a URL
            behind += part
        elif not scheme:
            shown += part
        else:
            rest = part[scheme.end() :]
            user, at, rest = ("", "", rest) if HOST.match(rest) else rest.rpartition("@")
            if ":" in user or (user and scheme[1] in WEB):
                secrets.append(user.partition(":")[2] or user)
                user = at = ""
            place = re.split("[?#]", rest, maxsplit=1)[0]
            shown, behind = f"{shown}{scheme[0]}{user}{at}{place}", rest.removeprefix(place)
    return shown, [*secrets, *(word.partition("=")[2] or word for word in re.split("[?#&;]", behind))]
