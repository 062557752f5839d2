"""What the ledger says, in a person's words: `near duplicate: prompt alike, Jaccard 0.90`.

Evidence is JSON by name. Names that mean the same in every step have a sentence here; a name that nobody has explained
yet is shown as it is, so no evidence is ever left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tasks.core.personal_kinds import KINDS
from tasks.core.text.display import DIGEST, words

Evidence = Mapping[str, Any]
# The names under which evidence points to another row, and what that row is.
ROWS = {"kept": "the row kept for it", "partner": "the row that says otherwise", "match": "the row it meets"}
LIKENESS = ("jaccard", "cosine")


def in_words(evidence: Evidence) -> str:
    """The evidence of one ledger entry, without the rows that it names; empty when there is nothing more to say."""
    left = {name: value for name, value in evidence.items() if not (name in ROWS and is_row(value))}
    parts = []
    for needed, more, tell in SENTENCES:
        if all(name in left for name in needed) and (sentence := _tried(tell, left)):
            parts.append(sentence)
            left = {name: value for name, value in left.items() if name not in (*needed, *more)}
    if found := {name: value for name, value in left.items() if name in KINDS and isinstance(value, int)}:
        parts.append(", ".join(f"{value} {name}" for name, value in found.items()))
        left = {name: value for name, value in left.items() if name not in found}
    parts += [f"{name.replace('_', ' ')}: {words(value)}" for name, value in left.items() if value not in ("", [], {})]
    return "; ".join(parts)


def _tried(tell: Callable[[Evidence], str], evidence: Evidence) -> str:
    """The sentence; nothing where a rule of somebody's own means something else by the same name."""
    try:
        return tell(evidence)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return ""


def rows_named(evidence: Evidence) -> dict[str, str]:
    """{row_id: what it is} of the other rows that evidence points to, by whatever name."""
    named = {value: name for name, value in evidence.items() if is_row(value)}
    return {row_id: ROWS.get(name, name.replace("_", " ")) for row_id, name in sorted(named.items())}


def is_row(value: Any) -> bool:
    return isinstance(value, str) and bool(DIGEST.fullmatch(value))


# ---------------------------------------------------------------- sentences


def _alike(measure: str) -> Callable[[Evidence], str]:
    def tell(evidence: Evidence) -> str:
        what = evidence["of"] if isinstance(evidence.get("of"), str) else "prompt"
        return (
            f"{what} the same"
            if evidence[measure] == 1
            else f"{what} alike, {measure.capitalize()} {evidence[measure]:.2f}"
        )

    return tell


def _judged(evidence: Evidence) -> str:
    given, suggested = (f"{evidence[name]:.0%}" for name in ("self_confidence", "confidence"))
    often = f", {evidence['lift']:.2f} times as likely as for any text" if "lift" in evidence else ""
    told = f"labelled {evidence['given']!r}: {given} likely for its text{often}; {evidence['suggested']!r}: {suggested}"
    return told + (f"; a classifier's guess, right of {evidence['accuracy']:.0%}" if "accuracy" in evidence else "")


def _hardly_told(evidence: Evidence) -> str:
    commonest = f"the commonest label is that of {evidence['commonest_label']:.0%}"
    return f"a classifier gets {evidence['accuracy']:.0%} of the labels right; {commonest}"


def _covered(evidence: Evidence) -> str:
    inside, of = evidence.get("in", "prompt"), evidence.get("of", "prompt")
    return (
        f"its {inside} has {evidence['coverage']:.0%} of the word sequences of that {of}, {evidence['shared']} of them"
    )


def _without_place(evidence: Evidence) -> str:
    named = [f"{name} {evidence[name]!r}" for name in ("label", "slice") if name in evidence]
    of = f" of {' and '.join(named)}" if named else ""
    return f"{evidence['places']:,} of {evidence['rows']:,} rows{of} fit into the budget of {evidence['budget']:,}"


def _votes(evidence: Evidence) -> str:
    counted = ", ".join(f"{vote['label']!r} {vote['votes']}" for vote in evidence["labels"])
    return f"it says {evidence['label']!r}; votes of the rows that ask the same: {counted}"


def _reviewed(evidence: Evidence) -> str:
    against = f", asked by {evidence['asked']}" if evidence.get("asked") else ""
    because = f" because of: {evidence['was']}" if evidence.get("was") else ""
    said = f"; note: {evidence['note']}" if evidence.get("note") else ""
    found = f" ({told})" if (told := in_words(evidence.get("found", {}))) else ""
    return f"{evidence['reviewer']}, {evidence['at'][:10]}{against}{because}{found}{said}"


# What must be there, what else it tells of, and the sentence.
Sentence = tuple[tuple[str, ...], tuple[str, ...], Callable[[Evidence], str]]
SENTENCES: tuple[Sentence, ...] = (
    (("reviewer", "at"), ("asked", "was", "found", "note"), _reviewed),
    (("given", "suggested", "self_confidence", "confidence"), ("lift", "accuracy"), _judged),
    (("accuracy", "commonest_label"), (), _hardly_told),
    (("rank", "of"), (), lambda e: f"suspect {e['rank']} of {e['of']}, the surest first"),
    (("label", "labels"), (), _votes),
    (("coverage", "shared"), ("in", "of"), _covered),
    (("rows", "places", "budget"), ("label", "slice"), _without_place),
    (("similarity",), (), lambda e: f"similarity {e['similarity']:.2f}"),
    *(((measure,), ("of",), _alike(measure)) for measure in LIKENESS),
    (("source", "line"), (), lambda e: f"{e['source']}, line {e['line']}"),
    (("rules",), (), lambda e: words(e["rules"])),
    (("rule",), (), lambda e: words(e["rule"])),
    (("split",), (), lambda e: f"into {e['split']}"),
    (("message",), (), lambda e: f"message {e['message']}"),
)
