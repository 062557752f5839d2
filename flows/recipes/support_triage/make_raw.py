"""Turn the hand-written support rows into three messy raw exports, with every planted defect counted.

Run it from anywhere:    python flows/recipes/support_triage/make_raw.py

It reads written/<intent>.tsv (clean rows, labelled after GUIDE.md) and writes raw/helpdesk.jsonl, raw/legacy.csv and
raw/chats.json, as a help desk, its predecessor and a chat widget would export them. What was done to which row is in
planted.csv, beside this script and not in raw/: a cleaning step must find the dirt by itself. `line` there is the
physical line (JSONL), the record after the header (CSV) or the element (JSON), always counted from 1.
Same input, same bytes: one seeded generator, no clock, no hashing.
"""

import csv
import html
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
SAY: dict[str, list[str]] = yaml.safe_load((HERE / "phrases.yaml").read_text(encoding="utf-8"))
SEED = 20260704
HELPDESK, LEGACY, CHATS = SOURCES = ("helpdesk.jsonl", "legacy.csv", "chats.json")

# What is planted, and how often. wrong_label replaces clean rows; all others are extra rows.
PLANTED = {
    "wrong_label": 40,  # the agent's hand slipped in the drop-down: no correct copy of the row exists
    "exact_duplicate": 260,  # same message, same answer; case, blanks or HTML may differ
    "near_duplicate": 240,  # a few words differ (word-3-gram Jaccard >= NEAR), same answer
    "empty_answer": 70,
    "truncated_answer": 90,  # JSON cut off
    "old_format": 130,  # INTENT: ... | URGENCY: ... | REPLY: ...
    "prose_answer": 130,  # what the agent wrote to the customer, no JSON
    "unknown_label": 40,  # valid JSON, but a label that has since been renamed
    "contradiction": 60,  # a good row's message under another intent
    "burst": 120,  # one evening's tracking outage
    "empty_message": 25,
    "not_json": 30,  # broken lines
    "autoreply": 25,
}
# Weights of the three sources; a defect that belongs to one system gets its own.
SHARES = {
    "old_format": (0, 12, 1),
    "prose_answer": (50, 20, 30),
    "burst": (3, 0, 1),
    "not_json": (1, 0, 0),
    "autoreply": (1, 0, 0),
}
USUAL_SHARES = (43, 28, 29)
DRESSED, WITH_CONTACT, NEAR = 0.30, 0.08, 0.70  # contacts go into English rows only
START, END, OUTAGE = datetime(2026, 1, 2), datetime(2026, 6, 30, 23), datetime(2026, 5, 14, 18, 40)

OLD_NAMES = {
    "order_status": "shipping",
    "delivery_problem": "shipping",
    "return_request": "refund",
    "refund_status": "refund",
    "account_access": "login",
    "payment_problem": "billing",
    "invoice_request": "billing",
}
MIXED_UP = {
    "order_status": "delivery_problem",
    "delivery_problem": "order_status",
    "return_request": "refund_status",
    "refund_status": "return_request",
    "damaged_item": "return_request",
    "cancel_order": "return_request",
    "payment_problem": "discount_code",
    "product_question": "other",
    "account_access": "other",
    "discount_code": "payment_problem",
    "invoice_request": "payment_problem",
    "other": "product_question",
}
CARD_INTENTS = {"payment_problem", "refund_status", "cancel_order"}


@dataclass(frozen=True)
class Clean:
    """One hand-written row."""

    intent: str
    urgency: str
    message: str
    reply: str

    def answer(self) -> str:
        return json.dumps({"intent": self.intent, "urgency": self.urgency, "reply": self.reply})


@dataclass(frozen=True)
class Row:
    """One exported row: its hand-written origin, where and when it turns up, and what is wrong with it ("" = good)."""

    origin: Clean
    source: str
    created: datetime
    message: str
    answer: str
    defect: str = ""


def read_written(folder: Path) -> list[Clean]:
    """All rows of written/<intent>.tsv, file by file in name order."""
    rows = []
    for path in sorted(folder.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            urgency, message, reply = line.split("\t")
            rows.append(Clean(path.stem, urgency, message.replace("\\n", "\n"), reply))
    return rows


def with_contact(rng: random.Random, row: Clean) -> Clean:
    """The row with a phone number, e-mail address or card number in it, as customers will."""
    if row.intent in CARD_INTENTS and rng.random() < 0.6:
        line = rng.choice(SAY["card_lines"]).format(rng.choice(SAY["cards"]))
    else:
        line = rng.choice(SAY["contact_lines"]).format(phone=rng.choice(SAY["phones"]), email=rng.choice(SAY["emails"]))
    gap = " " if row.message[-1] in ".?!" else "\n"
    return replace(row, message=row.message + gap + line)


def as_html(rng: random.Random, text: str, _: datetime) -> str:
    """An e-mail body as a mail client sends it."""
    body = html.escape(text, quote=False).replace("'", rng.choice(["'", "&#39;"]))
    body = body.replace(". ", rng.choice([". ", ".&nbsp; "]))
    if rng.random() < 0.3:
        return "<div>" + body.replace("\n", "<br>") + "</div>"
    joint = rng.choice(["</p><p>", "</p>\n<p>"])
    return "<p>" + re.sub(r"\n{2,}", joint, body).replace("\n", "<br>").replace("</p><br><p>", "</p>\n<p>") + "</p>"


def mojibake(_: random.Random, text: str, __: datetime) -> str:
    """UTF-8 that was once read as Windows-1252, after a phone had put in curly quotes and dashes."""
    curly = text.replace("'", "\u2019").replace(" - ", " \u2013 ")
    try:
        return curly.encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:  # a byte that Windows-1252 lacks
        return text


def signed(rng: random.Random, text: str, _: datetime) -> str:
    return text + rng.choice(["\n\n", "\n"]) + rng.choice(SAY["signatures"])


def quoting(rng: random.Random, text: str, created: datetime) -> str:
    """The message above the mail it answers."""
    then = created - timedelta(minutes=rng.randrange(30, 4000))
    when = f"{then:%a}, {then.day} {then:%b %Y} at {then:%H:%M}"
    head = f"On {when}, Harbour & Pine <help@harbourandpine.example> wrote:"
    return f"{text}\n\n{head}\n> {rng.choice(SAY['quotes'])}"


def blanks(rng: random.Random, text: str, _: datetime) -> str:
    """Doubled spaces here and there, and some around the text."""
    parts = [word + ("  " if rng.random() < 0.2 else " ") for word in text.split(" ")]
    return rng.choice(["", " ", "\n"]) + "".join(parts) + rng.choice(["", " ", "\n\n"])


def crlf(_: random.Random, text: str, __: datetime) -> str:
    return (text if "\n" in text else text + "\n").replace("\n", "\r\n")


Dressing = Callable[[random.Random, str, datetime], str]
LIGHT: tuple[Dressing, ...] = (as_html, blanks, crlf)
HEAVY: dict[str, tuple[Dressing, ...]] = {
    HELPDESK: (as_html, as_html, mojibake, signed, signed, quoting, quoting, blanks, crlf),
    LEGACY: (as_html, mojibake, mojibake, signed, quoting, blanks, crlf),
    CHATS: (mojibake, mojibake, mojibake, blanks, as_html),
}


def dressed(rng: random.Random, row: Row, choice: tuple[Dressing, ...]) -> Row:
    """The row with one or two dressings that cleaning can undo."""
    first = rng.choice(choice)
    message = first(rng, row.message, row.created)
    if first in (signed, quoting) and rng.random() < 0.4:
        message = rng.choice(LIGHT)(rng, message, row.created)
    if message == row.message:  # nothing for mojibake to break here
        message = blanks(rng, message, row.created)
    return replace(row, message=message)


def maybe_dressed(rng: random.Random, row: Row, chance: float = DRESSED) -> Row:
    return dressed(rng, row, HEAVY[row.source]) if rng.random() < chance else row


def trigrams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def edited(rng: random.Random, text: str) -> str:
    """One small edit: a greeting, a farewell, another or a further order number, or a typo."""
    kind = rng.choice(("greet", "greet", "leave", "number", "add", "typo", "typo"))
    if kind == "greet" and not re.match(r"(hi|hello|hey|good|dear|hallo)\b", text, re.IGNORECASE):
        return rng.choice(SAY["greetings"]) + (
            text if text.startswith(("I ", "I'", "HP")) else text[0].lower() + text[1:]
        )
    if kind == "leave" and not re.search(r"(thanks|thank you|thx|please|cheers)\W*$", text, re.IGNORECASE):
        return text + rng.choice([" ", "\n"]) + rng.choice(SAY["farewells"]) + rng.choice(["", ".", "!"])
    if kind == "number":
        return re.sub(r"(HP-\d{3})\d", lambda m: m[1] + str(rng.randrange(10)), text, count=1)
    if kind == "add" and "HP-" not in text:
        return text + rng.choice([" ", "\n"]) + f"HP-{rng.randrange(11200, 98000)}"
    words = re.finditer(r"(?<![\w.@-])[A-Za-z][a-z]{4,}(?![\w.@-])", text)  # never inside an e-mail address
    spots = [m.start() + rng.randrange(1, len(m[0]) - 2) for m in words] or [0]
    spot = rng.choice(spots)
    return text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :]


def nearly(rng: random.Random, text: str) -> str:
    """The text with one to three edits, tried until it is close to the text without being its copy."""
    grams = trigrams(text)
    for _ in range(200):
        copy = text
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            copy = edited(rng, copy)
        other = trigrams(copy)
        if NEAR + 0.02 <= len(grams & other) / len(grams | other) < 1:
            return copy
    return f"{text} Thanks"


def prose(rng: random.Random, row: Clean) -> str:
    """The agent's own mail to the customer."""
    parts = [rng.choice(SAY["openings"]), row.reply, rng.choice(SAY["closings"])]
    return rng.choice([" ", "\n", "\n\n"]).join(parts[1:] if rng.random() < 0.2 else parts)


def relabelled(rng: random.Random, row: Clean) -> Clean:
    """The row under a label of the old scheme."""
    if row.intent in OLD_NAMES and rng.random() < 0.75:
        return replace(row, intent=OLD_NAMES[row.intent])
    return replace(row, urgency="urgent")


def spoilt_answer(rng: random.Random, row: Clean, defect: str) -> str:
    """The answer of a row whose defect lies in the answer; other defects keep the good answer."""
    answer = row.answer()
    match defect:
        case "empty_answer":
            return rng.choice(("", "", "", " ", "\n"))
        case "truncated_answer":
            return answer[: rng.randrange(12, len(answer) - 1)]
        case "old_format":
            return f"INTENT: {row.intent} | URGENCY: {row.urgency} | REPLY: {row.reply}"
        case "prose_answer":
            return prose(rng, row)
        case "unknown_label":
            return relabelled(rng, row).answer()
        case "contradiction":
            return replace(row, intent=MIXED_UP[row.intent]).answer()
        case _:
            return answer


def placed(rng: random.Random, row: Clean, defect: str = "", after: datetime | None = None) -> Row:
    """The row in one of the sources, at an hour when people write, or within two days after an earlier row."""
    source = rng.choices(SOURCES, SHARES.get(defect, USUAL_SHARES))[0]
    day = START + timedelta(days=rng.randrange((END - START).days))
    created = day + timedelta(hours=rng.choice((7, 8, 9, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 21)))
    if after is not None:
        created = min(after + timedelta(hours=rng.randrange(1, 48)), END)
    created += timedelta(minutes=rng.randrange(60), seconds=rng.randrange(60))
    return Row(row, source, created, row.message, row.answer(), defect)


def spoilt(rng: random.Random, good: Row, defect: str) -> Row:
    """A second appearance of a good row, with the defect."""
    row = placed(rng, good.origin, defect, good.created)
    row = replace(row, answer=spoilt_answer(rng, good.origin, defect))
    if defect == "exact_duplicate":
        lower, upper = row.message.lower(), row.message.upper()
        row = replace(row, message=rng.choice([good.message] * 5 + [row.message] * 8 + [lower, lower, upper]))
        return dressed(rng, row, LIGHT) if row.message == good.origin.message and rng.random() < 0.3 else row
    if defect == "near_duplicate":
        row = replace(row, message=nearly(rng, row.message))
    if defect in ("near_duplicate", "contradiction"):
        return dressed(rng, row, LIGHT) if rng.random() < DRESSED / 2 else row
    return maybe_dressed(rng, row)


def picked(rng: random.Random, pool: list[Row], count: int) -> list[Row]:
    """`count` rows of the pool, none twice before all were taken."""
    rows: list[Row] = []
    while len(rows) < count:
        rows += rng.sample(pool, min(len(pool), count - len(rows)))
    return rows


def second_appearances(rng: random.Random, good: list[Row]) -> list[Row]:
    """Every defect that repeats a good row. Contradicted rows get no copies, so no vote can settle them."""
    disputed = picked(rng, good, PLANTED["contradiction"])
    rest = [row for row in good if row not in disputed]
    long = [row for row in rest if len(row.origin.message.split()) >= 14]
    pools = {"contradiction": disputed, "near_duplicate": long or rest}
    defects = (
        "exact_duplicate",
        "near_duplicate",
        "empty_answer",
        "truncated_answer",
        "old_format",
        "prose_answer",
        "unknown_label",
        "contradiction",
    )
    return [spoilt(rng, row, name) for name in defects for row in picked(rng, pools.get(name, rest), PLANTED[name])]


def outage(rng: random.Random) -> list[Row]:
    """One evening on which the tracking page was down: many voices, one intent."""
    rows: dict[str, Row] = {}
    while len(rows) < PLANTED["burst"]:
        order = rng.choice(("HP-{}", "HP-{}", "hp{}", "#{}", "HP {}")).format(rng.randrange(40120, 58990))
        parts = [
            rng.choice(SAY["burst_starts"]),
            rng.choice(SAY["burst_faults"]).format(order),
            rng.choice(SAY["burst_asks"]),
        ]
        gap = rng.choice((". ", ", ", " - ", ".\n"))
        message = f"{parts[0]} {parts[1]}{gap}{parts[2]} {rng.choice(SAY['burst_ends'])}".strip()
        message = message.format(thing=rng.choice(SAY["burst_things"]), name=rng.choice(SAY["burst_names"]))
        row = placed(rng, Clean("order_status", "normal", message, rng.choice(SAY["burst_replies"])), "burst")
        row = replace(row, created=OUTAGE + timedelta(seconds=int(rng.triangular(0, 13500, 4000))))
        rows[message] = maybe_dressed(rng, row, DRESSED / 2)
    return list(rows.values())


def autoreply(rng: random.Random) -> Clean:
    text = rng.choice(SAY["away"]).format(rng.choice(SAY["away_when"])) + rng.choice(SAY["away_more"])
    return Clean("other", "low", rng.choice(SAY["away_subjects"]) + text, rng.choice(SAY["away_replies"]))


def strangers(rng: random.Random, clean: list[Clean]) -> list[Row]:
    """Defects that have no good row: mail robots, empty messages, broken lines."""
    away = [placed(rng, autoreply(rng), "autoreply") for _ in range(PLANTED["autoreply"])]
    empty = [
        placed(rng, Clean("other", "low", rng.choice(SAY["empty"]), rng.choice(SAY["empty_replies"])), "empty_message")
        for _ in range(PLANTED["empty_message"])
    ]
    return away + empty + [placed(rng, rng.choice(clean), "not_json") for _ in range(PLANTED["not_json"])]


def all_rows(rng: random.Random, clean: list[Clean]) -> list[Row]:
    """Good rows, mislabelled rows and everything planted, shuffled."""
    clean = rng.sample(clean, len(clean))
    english = [re.search(r"\b(the|my|it|is|you)\b", row.message) is not None for row in clean]
    clean = [
        with_contact(rng, row) if fits and rng.random() < WITH_CONTACT else row
        for row, fits in zip(clean, english, strict=True)
    ]
    slipped, rest = clean[: PLANTED["wrong_label"]], clean[PLANTED["wrong_label"] :]
    wrong = []
    for row in slipped:
        intent = rng.choice([name for name in MIXED_UP if name not in (row.intent, MIXED_UP[row.intent])])
        wrong.append(placed(rng, replace(row, intent=intent), "wrong_label"))
    good = [placed(rng, row) for row in rest]
    good, wrong = ([maybe_dressed(rng, row) for row in group] for group in (good, wrong))
    rows = good + wrong + second_appearances(rng, good) + outage(rng) + strangers(rng, rest)
    return rng.sample(rows, len(rows))


def broken_line(rng: random.Random, line: bytes, number: int) -> bytes:
    """What stands in the export in place of this line."""
    kind = number % 6
    if kind in (0, 1):
        return line[: rng.randrange(len(line) // 4, len(line) - 20)]
    if kind == 2:
        return b"\x00" * rng.randrange(16, 90)
    if kind == 3:
        return line.replace(b'"content": "', '"content": "Café Zoë, '.encode("latin-1"), 1)
    return rng.choice(SAY["log_lines"]).format(rng.randrange(1, 90)).encode()


def helpdesk(rng: random.Random, rows: list[Row]) -> bytes:
    """One ticket a line; ticket numbers follow the dates, the export's order does not."""
    tickets, number = {}, 10481
    for place in sorted(range(len(rows)), key=lambda i: (rows[i].created, i)):
        number += rng.choice((1, 1, 1, 2, 3))
        tickets[place] = number
    lines = []
    for place, row in enumerate(rows):
        mail = row.defect == "autoreply" or re.search(r"<(p|div)>|\n", row.message)
        channel = "email" if mail else rng.choice(("email", "email", "webform", "webform", "app"))
        turns = [{"role": "user", "content": row.message}, {"role": "assistant", "content": row.answer}]
        ticket = {"ticket": tickets[place], "created_at": f"{row.created:%Y-%m-%dT%H:%M:%SZ}", "channel": channel}
        line = json.dumps(ticket | {"messages": turns}, ensure_ascii=False).encode()
        broken = sum(r.defect == "not_json" for r in rows[:place])
        lines.append(broken_line(rng, line, broken) if row.defect == "not_json" else line)
    return b"\n".join(lines) + b"\n"


def legacy(rng: random.Random, rows: list[Row]) -> bytes:
    """The predecessor's table, with British dates."""
    out = io.StringIO(newline="")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("prompt", "completion", "created", "agent"))
    for row in rows:
        agent = rng.choice(("meera", "tom.a", "aoife", "jonas", "sanne", "temp02"))
        table.writerow((row.message, row.answer, f"{row.created:%d/%m/%Y %H:%M}", agent))
    return out.getvalue().encode()


def chats(_: random.Random, rows: list[Row]) -> bytes:
    """The chat widget's export, in ShareGPT form."""
    order = sorted(range(len(rows)), key=lambda i: (rows[i].created, i))
    ids = {place: f"chat-{rows[place].created:%Y%m%d}-{1200 + number}" for number, place in enumerate(order)}
    items = []
    for place, row in enumerate(rows):
        turns = [{"from": "human", "value": row.message}, {"from": "gpt", "value": row.answer}]
        items.append({"id": ids[place], "conversations": turns})
    return (json.dumps(items, ensure_ascii=False, indent=1) + "\n").encode()


def main() -> None:
    rng = random.Random(SEED)
    rows = all_rows(rng, read_written(HERE / "written"))
    (HERE / "raw").mkdir(exist_ok=True)
    truth = ["source,line,defect"]
    for source, write in ((HELPDESK, helpdesk), (LEGACY, legacy), (CHATS, chats)):
        part = [row for row in rows if row.source == source]
        (HERE / "raw" / source).write_bytes(write(rng, part))
        truth += [f"{source},{line},{row.defect}" for line, row in enumerate(part, 1) if row.defect]
        print(f"{source:16}{len(part):6} rows, {sum(not row.defect for row in part)} of them good")
    (HERE / "planted.csv").write_bytes(("\n".join(truth) + "\n").encode())
    for defect, count in sorted(Counter(row.defect or "good" for row in rows).items()):
        print(f"  {defect:18}{count:5}")


if __name__ == "__main__":
    main()
