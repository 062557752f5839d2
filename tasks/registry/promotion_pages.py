"""What a person sees of the promotion ledger on MLflow's pages: tags of the versions, and a table on the ledger's own
page.

All of it is made from the ledger and may be made again; only the ledger decides.
"""

from __future__ import annotations

from typing import Any

from tasks.registry.promotion_ledger import Entry, Ledger
from tasks.registry.versions import STATE, find_version

# Tags of a version, named so that they stand above `assay.*` in MLflow's table, which is sorted and shows three at a
# time.
MOVE = "alias.{}"  # an entry of the ledger, by its number
APPROVAL = "approval"  # a person writes `approved by NAME` here, on the version's page in MLflow
OUTCOME = "approval.outcome"  # why it is not champion yet, and what to do
# What its champion became, by action.
LOST = {
    "promote": "replaced",
    "rollback": "rolled back",
    "by hand": "replaced by hand",
}
NOTE = "mlflow.note.content"  # the description of a run, in Markdown
NOTE_CHARACTERS = 7500  # of the 8000 that MLflow takes
COLUMNS = ("entry", "at (UTC)", "champion", "action", "who", "why", "approval")


def sentence(entry: Entry) -> str:
    """An entry as a person reads it: `2026-11-24 13:05 UTC: champion 1 -> 2, promote by ada: fewer misses (approved by
    Eve)`
    """
    when = entry.at[:16].replace("T", " ")
    moved = f"champion {entry.was or 'none'} -> {entry.champion or 'none'}"
    if entry.was == entry.champion:
        moved = f"champion stays {entry.champion}, previous {entry.previous or 'none'}"
    if entry.action == "by hand":
        return f"{when} UTC: {moved}, by hand: {entry.why}; MLflow does not say by whom"
    approval = f" ({entry.approval})" if entry.approval else ""
    return f"{when} UTC: {moved}, {entry.action} by {entry.who}: {entry.why or 'no reason given'}{approval}"


def show(client: Any, ledger: Ledger, entry: Entry) -> None:
    """Write the entry onto the versions it is about, and the whole ledger onto its own page; the
    same when done again.
    """
    state = "champion by hand" if entry.action == "by hand" else "champion"
    found = find_version(client, ledger.model, entry.champion) if entry.champion else None
    if found is not None:
        _tag(client, found, MOVE.format(entry.name), sentence(entry))
        _tag(client, found, STATE, state)
        if entry.action == "promote" and entry.approval:  # an approval is for one promotion
            _tag(client, found, APPROVAL, f"used for promotion {entry.name}: {entry.approval}")
        if OUTCOME in found.tags:
            client.delete_model_version_tag(found.name, found.version, OUTCOME)
    lost = find_version(client, ledger.model, entry.was) if entry.was not in (0, entry.champion) else None
    if lost is not None:
        _tag(client, lost, MOVE.format(entry.name), sentence(entry))
        _tag(client, lost, STATE, LOST[entry.action])
    _show_whole(client, ledger, entry)


def approves(said: str) -> bool:
    """Whether the value of the tag `approval` is a yes: `approved`, whatever follows."""
    return said.strip().casefold().startswith("approved")


def declines(said: str) -> bool:
    """Whether it is a no."""
    return said.strip().casefold().startswith(("declined", "rejected", "refused"))


def mark(client: Any, model: str, number: int, said: str, approval: str = "") -> None:
    """Say on the version's page why it is not champion yet. approval: a value for a person to
    change, if there is none.
    """
    version = find_version(client, model, number)
    if version is not None:
        _tag(client, version, OUTCOME, said)
        if approval and not version.tags.get(APPROVAL):
            _tag(client, version, APPROVAL, approval)


def table(ledger: Ledger) -> list[dict[str, Any]]:
    """The ledger for the Prefect page, newest first."""
    return [
        {
            "entry": e.name,
            "at": e.at,
            "action": e.action,
            "champion": f"{e.was or 'none'} -> {e.champion or 'none'}",
            "previous": e.previous or "none",
            "who": e.who,
            "why": e.why,
            "approval": e.approval,
            "evidence": e.evidence,
        }
        for e in reversed(ledger.entries)
    ]


def _tag(client: Any, version: Any, key: str, value: str) -> None:
    if version.tags.get(key) != value:
        client.set_model_version_tag(version.name, version.version, key, value)


def _show_whole(client: Any, ledger: Ledger, entry: Entry) -> None:
    """The page of the run `ledger`: a table as its description, and each entry as a file of its own."""
    text = (
        f"The promotion ledger of {ledger.model}, newest first. Entries are parameters, which MLflow never changes.\n"
    )
    for cells in (COLUMNS, ("---",) * len(COLUMNS), *map(_cells, reversed(ledger.entries))):
        line = "\n| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"
        if len(text) + len(line) > NOTE_CHARACTERS:
            break
        text += line
    client.set_tag(ledger.run_id, NOTE, text)
    client.log_text(ledger.run_id, entry.model_dump_json(indent=1), f"entries/{entry.name}.json")


def _cells(entry: Entry) -> tuple[str, ...]:
    moved = f"{entry.was or 'none'} → {entry.champion or 'none'}"
    return entry.name, entry.at[:16].replace("T", " "), moved, entry.action, entry.who, entry.why, entry.approval
