"""One message a row: a help desk's export, or a log of chats, in which an id says which conversation a message is of.

    ticket_id,author_role,body,created_at
    17,customer,Where is my tent?,2026-01-05 10:02
    18,customer,The lamp flickers.,2026-01-05 10:05
    17,agent,It left today.,2026-01-05 10:40

The rows of a conversation are put in order by their time or number, wherever they stand in the file. A conversation of
which anything is not sure is held, every row of it, with the reason: a role that nobody knows, no time, a message
without text, several people who ask or answer, notes among the team. Column names are compared by their letters and
digits alone (`Ticket ID` is ticketid).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from tasks.data.dates import readings
from tasks.data.formats.base import Format, Parts, Record
from tasks.data.formats.beside import not_to_learn
from tasks.data.formats.conversations import turns_under
from tasks.data.formats.messages import ROLES, UnadaptedError, content_text, is_empty

ID = (
    *("conversationid", "ticketid", "threadid", "caseid", "chatid", "dialogid", "dialogueid", "sessionid", "issueid"),
    *("conversationnumber", "ticketnumber", "casenumber", "conversation", "ticket", "thread", "case"),
)
ROLE = (
    *("role", "authorrole", "authortype", "senderrole", "sendertype", "speakerrole", "speakertype", "fromrole"),
    *("fromtype", "participanttype", "participantrole", "usertype", "actortype", "messagerole", "direction"),
    *("messagedirection", "isagent", "fromagent", "isstaff", "fromstaff", "outbound", "iscustomer", "fromcustomer"),
    *("inbound", "incoming", "speaker", "author", "sender", "from"),
)
TEXT = (
    "content",
    "body",
    "text",
    "message",
    "messagebody",
    "messagetext",
    "plainbody",
    "comment",
    "utterance",
    "value",
)
NUMBER = (
    *("messageindex", "messagenumber", "messageorder", "turn", "turnid", "turnindex", "turnnumber", "seq", "sequence"),
    *("sequencenumber", "position", "order", "index"),
)
TIME = (
    *("createdat", "sentat", "timestamp", "messagecreatedat", "datetime", "time", "date", "created", "createdtime"),
    *("createdon", "createddate", "sendtime", "sent", "senton", "messagetime", "messagedate", "ts"),
)
# Who, by name: two of them who ask or answer in one conversation are two people.
WHO = re.compile(r"(author|sender|from|agent|operator|speaker|user|customer|participant)(name|id|email|address)?|name")
# What help desks call the two sides, beside what chats do (ROLES); letters alone.
SIDES = {name.replace("-", ""): role for name, role in ROLES.items()} | {
    **dict.fromkeys(("customer", "client", "enduser", "requester", "contact", "visitor", "consumer", "buyer"), "user"),
    **dict.fromkeys(("guest", "lead", "caller", "shopper", "inbound", "incoming", "in"), "user"),
    **dict.fromkeys(("agent", "support", "supportagent", "humanagent", "admin", "operator", "staff"), "assistant"),
    **dict.fromkeys(("representative", "rep", "team", "teammate", "employee", "advisor", "adviser"), "assistant"),
    **dict.fromkeys(("customersupport", "customerservice", "helpdesk", "ai", "chatbot"), "assistant"),
    **dict.fromkeys(("outbound", "outgoing", "out"), "assistant"),
}
SUCH_AS = ["user", "customer", "inbound", "assistant", "agent", "outbound", "and the like"]
FLAGS = {
    **dict.fromkeys(("isagent", "fromagent", "isstaff", "fromstaff", "outbound"), ("user", "assistant")),
    **dict.fromkeys(("iscustomer", "fromcustomer", "inbound", "incoming"), ("assistant", "user")),
}
TRUTH = {"true": 1, "1": 1, "yes": 1, "false": 0, "0": 0, "no": 0}
# A note among the team was never said to the customer.
NOTE_COLUMNS = ("type", "messagetype", "kind", "eventtype", "commenttype", "parttype", "visibility", *ROLE)
NOTES = ("note", "internal", "internalnote", "privatenote", "internalcomment", "private")
PRIVATE = {"public": 0, "ispublic": 0, "private": 1, "isprivate": 1, "internal": 1, "isinternal": 1}
TURN = ("role", "from", "content", "value")


def _letters(text: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())


@lru_cache(maxsize=1024)
def _columns(names: tuple[str, ...]) -> dict[str, str]:
    """{what it is: column} of a table: id, role, text, number, time; without what it has no column of."""
    by_letters = {_letters(name): name for name in reversed(names)}
    tables = {"id": ID, "role": ROLE, "text": TEXT, "number": NUMBER, "time": TIME}
    found = {
        what: next((by_letters[name] for name in table if name in by_letters), "") for what, table in tables.items()
    }
    if found["text"] and found["text"] == found["role"]:
        found["text"] = ""
    return {what: name for what, name in found.items() if name}


def _may_be(names: Collection[str]) -> bool:
    found = _columns(tuple(names)).keys()
    return "id" in found and not found.isdisjoint(("role", "text"))


def _is_one(names: Collection[str]) -> bool:
    return {"id", "role", "text"} <= _columns(tuple(names)).keys()


def _conversation(record: Record) -> str:
    value = record[_columns(tuple(record))["id"]]
    if is_empty(value):
        raise UnadaptedError("a message without the id of its conversation")
    return str(value).strip()


def _join(parts: Sequence[Record]) -> Record:
    """The conversation: what is the same in all rows beside its `messages`, what differs at each of them."""
    columns = _columns(tuple(parts[0]))
    if missing := {"role", "text"} - columns.keys():
        raise UnadaptedError("a message that does not say who says it, or what", missing=sorted(missing))
    for part in parts:
        _check(part, columns)
    if len({tuple(map(str, part.values())) for part in parts}) < len(parts):
        raise UnadaptedError("a message that comes twice within the conversation")
    roles = [_role(part, columns["role"]) for part in parts]
    _check_people(parts, roles, columns["role"])
    order = _order(parts, columns)
    used = {columns["role"], columns["text"]}
    same = {key for key in parts[0] if all(part[key] == parts[0][key] for part in parts)} - used
    turns = [_turn(parts[place], roles[place], columns["text"], used | same) for place in order]
    if any(turn["role"] == "system" for turn in turns[1:]):
        raise UnadaptedError("a message of the system within the conversation")
    last = parts[order[-1]]
    times = {columns["time"]: last[columns["time"]]} if "time" in columns else {}
    return {**{key: parts[0][key] for key in parts[0] if key in same}, **times, "messages": turns}


def _check(part: Record, columns: dict[str, str]) -> None:
    """Raise UnadaptedError for a message that may not be learnt, or was not said, or says nothing."""
    if mark := not_to_learn(part):
        raise UnadaptedError("marked as not to be learnt", column=mark)
    for key, value in part.items():
        letters = _letters(key)
        noted = letters in NOTE_COLUMNS and _letters(value) in NOTES
        if noted or (letters in PRIVATE and TRUTH.get(_letters(value)) == PRIVATE[letters]):
            raise UnadaptedError("a note among the team within the conversation", column=key)
    if not content_text(part[columns["text"]]).strip():
        raise UnadaptedError("a message without text within the conversation", column=columns["text"])


def _role(part: Record, column: str) -> str:
    value, letters = _letters(part[column]), _letters(column)
    if letters in FLAGS and value in TRUTH:
        return FLAGS[letters][TRUTH[value]]
    if value not in SIDES:
        raise UnadaptedError("who speaks is not known by its role", column=column, allowed=SUCH_AS)
    return SIDES[value]


def _check_people(parts: Sequence[Record], roles: Sequence[str], column: str) -> None:
    named = [key for key in parts[0] if key == column or WHO.fullmatch(_letters(key))]
    for role, reason in (("assistant", "several people answer"), ("user", "several people ask")):
        for key in named:
            names = {str(part[key]).strip().casefold() for part, one in zip(parts, roles, strict=True) if one == role}
            if len(names - {"", "none"}) > 1:
                raise UnadaptedError(f"{reason} in one conversation", column=key, people=len(names))


def _order(parts: Sequence[Record], columns: dict[str, str]) -> list[int]:
    """Places of the parts as they were said. Raises UnadaptedError where that is not sure."""
    if len(parts) == 1:
        return [0]
    numbers = [_number(part[columns["number"]]) for part in parts] if "number" in columns else []
    if numbers and None not in numbers and len(set(numbers)) == len(numbers):
        return sorted(range(len(parts)), key=lambda place: numbers[place] or 0)
    if "time" not in columns:
        raise UnadaptedError("no time or number to put its messages in order")
    orders = [_by_time(times) for times in readings([part[columns["time"]] for part in parts])]
    if not orders:
        raise UnadaptedError("a time that cannot be read", column=columns["time"])
    if None in orders:
        raise UnadaptedError("messages of the same time, in no order", column=columns["time"])
    if any(order != orders[0] for order in orders):
        raise UnadaptedError("a time whose day and month cannot be told apart", column=columns["time"])
    return orders[0] or []


def _number(value: Any) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _by_time(times: Sequence[float]) -> list[int] | None:
    """Messages of one time stand as in the file, where that goes up or down throughout; None where it does neither."""
    places = range(len(times))
    if len(set(times)) == len(times) or (list(times) == sorted(times) and len(set(times)) > 1):
        return sorted(places, key=lambda place: times[place])
    if list(times) == sorted(times, reverse=True) and len(set(times)) > 1:
        return list(reversed(places))
    return None


def _turn(part: Record, role: str, text: str, left_out: set[str]) -> dict[str, Any]:
    rest = {key: value for key, value in part.items() if key not in left_out and not is_empty(value)}
    beside = {f"column_{key}" if key in TURN else key: value for key, value in rest.items()}
    return {"role": role, "content": content_text(part[text]), **beside}


FORMAT = Format("message_rows", shapes=(turns_under("messages"),), parts=Parts(_may_be, _is_one, _conversation, _join))
