"""Keys, tokens and passwords in a text: what opens an account, by the format that its issuer documents.

The formats are those that secret scanners use (gitleaks' rules, GitHub's secret scanning patterns). A random-looking
text without such a mark stays: digests, order and session numbers look the same. A password has no format; it counts
when it stands behind its name and a colon, equals sign or "is", and looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.personal_data.spans import Span

# Each starts with letters that are rare in prose, so that few texts are searched: AWS, GitHub, GitLab, Slack, Stripe,
# OpenAI and Anthropic, Google (key, OAuth client, access token), Hugging Face, npm, PyPI, SendGrid, Twilio, Mailgun,
# Mailchimp, DigitalOcean, Shopify, Databricks, Square, Grafana, Linear, Notion, Groq, Replicate, age, Telegram, JWT.
_ISSUED = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36,255}",
    r"github_pat_[A-Za-z0-9_]{50,255}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w-]{20,255}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,255}",
    r"xapp-\d-[A-Za-z0-9-]{20,255}",
    r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+-]{20,255}",
    r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,255}",
    r"whsec_[A-Za-z0-9+/=]{20,255}",
    r"sk-(?=[\w-]{0,200}\d)(?=[\w-]{0,200}[A-Z])[\w-]{20,255}",
    r"AIza[\w-]{35}",
    r"GOCSPX-[\w-]{28}",
    r"ya29\.[\w-]{20,500}",
    r"hf_[A-Za-z0-9]{34}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[\w-]{50,500}",
    r"SG\.[\w-]{16,32}\.[\w-]{16,64}",
    r"SK[0-9a-f]{32}",
    r"key-[0-9a-f]{32}",
    r"[0-9a-f]{32}-us\d{1,2}",
    r"do[opr]_v1_[0-9a-f]{64}",
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"dapi[0-9a-f]{32}",
    r"sq0(?:atp|csp)-[\w-]{22,43}",
    r"gl(?:sa|c)_[A-Za-z0-9_+/=]{32,255}",
    r"lin_api_[A-Za-z0-9]{40}",
    r"ntn_[A-Za-z0-9]{40,50}",
    r"gsk_[A-Za-z0-9]{40,60}",
    r"r8_[A-Za-z0-9]{37}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
    r"\d{8,10}:AA[\w-]{33}",
    r"eyJ[\w-]{10,4000}\.eyJ[\w-]{10,8000}\.[\w-]{10,1000}",
)
_KEY = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(_ISSUED)})(?![A-Za-z0-9])")
_BEGIN = re.compile(r"-----BEGIN(?: [A-Z0-9]+)* PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END(?: [A-Z0-9]+)* PRIVATE KEY(?: BLOCK)?-----")
_BLOCK = 20_000  # characters; an RSA key of 16,384 bits takes 12,600
_BODY = re.compile(r"[A-Za-z0-9+/=\s|]*")  # | is a line break that was written out (spans.decoded)

# What stands in a value's place in instructions and examples.
_STAND_IN = re.compile(
    r"(?i)[<{\[($%*_.•]|(?:your|example|change|enter|insert|replace)[\W_]|x{3,}|(?:os|process|env|config|self|settings|request|args)[.\[]"
    r"|(?:string|null|none|true|false|undefined|password|passwd|pass|secret|token)\W*$"
)
_PASSWORD = (
    r"pass ?w(?:or)?d|passphrase|passcode|pwd|kennwort|passwort|mot de passe|contrase[nñ]a|wachtwoord|senha|has[lł]o"
    r"|l[oö]senord|salasana"
)
_SECRET = (
    r"(?:api|secret|account)[ _-]?key|secret[ _-]?access[ _-]?key|client[ _-]?secret|(?:auth|access|api|bearer)[ "
    r"_-]?token"
)
_SIGN = r"[\"'`]?\s{0,3}(?P<sign>:=|=>|[:=]|is(?=\s))\s{0,3}[\"'`]?"
_VALUE = r"(?P<value>[^\s\"'`<>,;|]{4,256})"
_NAMED = re.compile(rf"(?i)(?:(?P<password>{_PASSWORD})|(?:{_SECRET})){_SIGN}{_VALUE}")
_BEARER = re.compile(
    r"(?i)(?:\bbearer|authorization[\"']?\s?[:=]\s?[\"']?basic)\s+(?P<value>(?=[^\s\"']{0,200}\d)[\w.~+/-]{20,4000}=*)"
)
_URL = re.compile(r"://[^\s/:@\"'<>]{1,64}:(?P<value>[^\s/@\"'<>]{1,128})@(?=[\w.\[-])")

# In each text in which one of the above is found; literal beginnings, which Polars finds quickly.
SECRET = (
    r"AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|sa|c)[-_]|xox[abeoprs]-|xapp-"
    r"|hooks\.slack\.com|[sr]k_(?:live|test|prod)_|whsec_|sk-[\w-]{20}|AIza|GOCSPX-|ya29\.|hf_|npm_|pypi-AgE|SG\.|SK[0-9a-f]{32}"
    r"|key-[0-9a-f]|[0-9a-f]{32}-us|do[opr]_v1_|shp(?:at|ca|pa|ss)_|dapi|sq0|lin_api_|ntn_|gsk_|r8_|AGE-SECRET|:AA|eyJ|-----BEGIN"
    rf"|(?i:{_PASSWORD}|{_SECRET})[\"'`]?\s{{0,3}}(?:[:=]|(?i:is)\s)|(?i:bearer|basic)\s+[\w.~+/-]{{20}}|://[^\s/:@]{{1,64}}:"
)


def secrets(text: str) -> Iterator[Span]:
    for found in _KEY.finditer(text):
        yield Span(found.start(), found.end(), found[0])
    yield from _private_keys(text)
    for found in _NAMED.finditer(text):
        value = found["value"].rstrip(".!?:)]}\\")
        if _is_secret(value, found):
            yield Span(found.start("value"), found.start("value") + len(value), value)
    for pattern in (_BEARER, _URL):
        for found in pattern.finditer(text):
            if not _STAND_IN.match(found["value"]):
                yield Span(*found.span("value"), found["value"])


def _private_keys(text: str) -> Iterator[Span]:
    """A block from its first line to its last; where it was cut, as far as it goes."""
    for begin in _BEGIN.finditer(text):
        end = _END.search(text, begin.end(), begin.end() + _BLOCK) or _BODY.match(
            text, begin.end(), begin.end() + _BLOCK
        )
        if end is not None:
            yield Span(begin.start(), end.end(), "".join(text[begin.start() : end.end()].split()))


def _is_secret(value: str, found: re.Match[str]) -> bool:
    """Whether a value looks like one: "password: required" and "the password is wrong" name none."""
    if _STAND_IN.match(value) or "(" in value or ("@" in value and "." in value.rpartition("@")[2]):
        return False
    digit, letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    mark = any(not c.isalnum() and c not in "-'’./_" for c in value) or "_" in value.strip("_")
    if not found["password"]:
        return len(value) >= 16 and digit and letter
    likely = digit and (letter or mark or value.isdigit())  # not "8-16 characters"
    return likely and len(value) >= 6 if found["sign"].isalpha() else likely or (mark and letter and len(value) >= 6)
