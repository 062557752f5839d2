"""Advice that takes reading the texts: facts, lengths, answers that repeat, prompts that are versions of one another.

tasks/curation/advice/row_counts.py says what a topic is given. Thresholds stand above what public sets that train well
were measured to have: Alpaca, its rows that a grader scored best, Banking77, SMS Spam.
"""

from __future__ import annotations

import polars as pl

from tasks.curation.advice.row_counts import Advice, concern, no_concern
from tasks.curation.advice.specifics import factual
from tasks.similarity.near_duplicates import near_duplicate_pairs

# Some names and dates are in any honest data: lists of countries, films and the like are 7 % of Alpaca's rows, and 11 %
# of those that a grader scored best.
SOME_FACTS, MANY_FACTS = 0.1, 0.2
LONGEST, OUTWEIGH = 0.05, 0.5  # when a twentieth of the answers hold half of all the text that the loss counts
ENOUGH = 20  # rows below which shares mean nothing
FEW_ANSWERS = 0.5  # different answers a row
BEGIN_ALIKE = 0.3  # rows whose answers share their first five words
VERSIONS = 0.3  # rows that are versions of one another
LONGER = 0.75  # pairs whose chosen answer is the longer one; in people's preferences it is some 60 %


def stated_facts(dataset: pl.DataFrame) -> Advice:
    """Answers that state what their prompts do not hold (tasks/curation/advice/specifics.py)."""
    found = factual(dataset.select("row_id", prompt=pl.concat_str("system", "prompt", separator="\n"), answer="said"))
    share = found.height / max(dataset.height, 1)
    numbers = {"rows": found.height, "share": round(share, 4)}
    if share < SOME_FACTS or found.height < 3:
        says = (
            f"{found.height:,} of {dataset.height:,} answers state names, numbers or dates that their prompts do not "
            f"hold."
        )
        return no_concern("facts", says, numbers)
    says = (
        f"{found.height:,} of {dataset.height:,} rows ({share:.0%}) teach facts rather than behaviour: their answers "
        f"state "
        "names, numbers, dates or addresses that their prompts do not hold."
    )
    do = (
        "Keep such facts in documents that are searched when a question comes, and put them into these rows' prompts: "
        "weights "
        "learn them badly and cannot be corrected."
    )
    return concern("warning" if share >= MANY_FACTS else "note", "facts", says, do, found["row_id"], numbers)


def answer_lengths(dataset: pl.DataFrame) -> Advice:
    """Whether a few long answers outweigh all others: the loss counts tokens, not rows."""
    sized = dataset.select("row_id", chars=pl.col("answer").str.len_chars()).sort(
        -pl.col("chars").cast(pl.Int64), "row_id"
    )
    sizes: list[int] = sized["chars"].to_list()
    longest = max(1, int(LONGEST * len(sizes)))
    share = sum(sizes[:longest]) / max(sum(sizes), 1)
    median, most = (sizes[len(sizes) // 2], sizes[0]) if sizes else (0, 0)
    numbers = {"median": median, "longest": most, "share_of_longest_5_percent": round(share, 3)}
    if share <= OUTWEIGH or len(sizes) < ENOUGH:
        return no_concern("lengths", f"Answers have {median:,} characters (median) and at most {most:,}.", numbers)
    says = f"The longest 5 % of the answers hold {share:.0%} of all answer text, so they decide most of the loss."
    do = "Look whether these belong with the rest; if not, split, shorten or filter them."
    return concern("note", "lengths", says, do, sized["row_id"].head(longest), numbers)


def repeated_answers(dataset: pl.DataFrame) -> Advice:
    """Whether free answers are a few texts again and again, or begin alike."""
    plain = pl.col("said").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    texts = dataset.select("row_id", text=plain).filter(pl.col("text") != "")
    opening = pl.col("text").str.extract(r"^((?:\S+ ){4}\S+)")
    counted = texts.with_columns(same=pl.len().over("text"), begin=opening, alike=pl.len().over(opening))
    rows, different = texts.height, texts["text"].n_unique()
    alike = counted.drop_nulls("begin").sort(-pl.col("alike").cast(pl.Int64), "begin", "row_id")
    begin = alike.filter(pl.col("begin") == alike["begin"].first())["row_id"].to_list() if alike.height else []
    numbers = {"rows": rows, "different": different, "begin_alike": len(begin)}
    if rows >= ENOUGH and different < FEW_ANSWERS * rows:
        commonest = counted.sort(-pl.col("same").cast(pl.Int64), "text", "row_id")["row_id"]
        do = (
            "If they are classes, name them in the recipe (answer.label, or kind: classification); else write answers "
            "that "
            "fit their prompts, because the model will repeat these."
        )
        says = f"{rows:,} rows have only {different:,} different answers."
        return concern("warning", "answers", says, do, commonest, numbers)
    if rows >= ENOUGH and len(begin) > BEGIN_ALIKE * rows:
        says = f"{len(begin):,} of {rows:,} answers begin with the same five words."
        do = "Keep them if every answer is to begin so; else vary them, because nothing is learned faster."
        return concern("note", "answers", says, do, begin, numbers)
    says = f"{different:,} of {rows:,} answers are different." if rows else "Answers hold nothing but labels."
    return no_concern("answers", says, numbers)


def prompt_families(dataset: pl.DataFrame, threshold: float, max_rows: int) -> Advice:
    """Prompts that are versions of one another: together they teach little more than one of them.

    max_rows: rows that are compared, drawn by row_id, which is a digest.
    """
    compared = dataset.head(max_rows)
    pairs = near_duplicate_pairs(compared.select("row_id", text="prompt"), threshold)
    ends = pl.concat([pairs["row_id_a"], pairs["row_id_b"]]).rename("row_id").to_frame()
    alike = ends.group_by("row_id").len().sort(-pl.col("len").cast(pl.Int64), "row_id")["row_id"]
    share = alike.len() / max(compared.height, 1)
    numbers = {"rows": alike.len(), "share": round(share, 4), "compared": compared.height, "jaccard": threshold}
    told = f"{alike.len():,} of {compared.height:,} prompts are versions of another"
    if share <= VERSIONS or compared.height < ENOUGH:
        return no_concern("families", f"{told}.", numbers)
    says = f"{told}: {threshold:.0%} or more of their 3-word phrases in common."
    do = "Count them as fewer rows than they are; if a template made them, keep some of each and bring others."
    return concern("note", "families", says, do, alike, numbers)


def longer_is_better(dataset: pl.DataFrame) -> Advice:
    """Of preference pairs, whether length alone tells the chosen answer (Park 2024: it is what DPO learns first)."""
    longer = dataset.filter(pl.col("answer").str.len_chars() > pl.col("rejected").str.len_chars())["row_id"].to_list()
    share = len(longer) / max(dataset.height, 1)
    says = f"The chosen answer is the longer one in {share:.0%} of the pairs"
    numbers = {"rows": len(longer), "share": round(share, 4)}
    if share <= LONGER or dataset.height < ENOUGH:
        return no_concern("length", f"{says}.", numbers)
    do = "Bring pairs whose shorter answer is better, or the model will learn to write more."
    return concern("note", "length", f"{says}, so length alone tells which it is.", do, longer, numbers)
