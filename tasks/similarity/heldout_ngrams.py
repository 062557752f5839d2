"""An index of the n-grams of held-out texts, which a million training texts are matched against: which n-grams they
share, and which of these are only a template's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from tasks.core.settings import Settings
from tasks.similarity.courtesy import without_courtesy
from tasks.similarity.ngram_index import Hits, LongRuns, NgramIndex, distinct, firsts
from tasks.similarity.parallel import Ints, Mask, ranges
from tasks.similarity.shared_wording import RUN, few
from tasks.similarity.words import UNSPACED, english_words, words

TEMPLATE = 0.01  # share of rows; phrases of a trade come to it ("my card is about to", in 13,000 messages to a bank)
ROWS = 50_000  # rows scanned at a time: some 0.2 GB
PAIRS = {"heldout": pl.Int64, "text": pl.Int64, "shared": pl.Int64}


class LeakSettings(Settings):
    """When a training text counts as seen in a held-out text."""

    # Share of common shingles of two whole prompts, |A & B| / |A | B|: the measure of dedupe.
    threshold: float = Field(default=0.7, gt=0, le=1)
    # Words a shingle, and an n-gram. 8 and 13 are usual for benchmarks; a changed word breaks `ngram` of them, and
    # messages are short.
    ngram: int = Field(default=3, ge=1, le=10)
    # Share of a text's n-grams that stand in the other text. Tulu 3 takes 0.5 of 8-grams, PaLM 0.7.
    coverage: float = Field(default=0.7, gt=0, le=1)
    # Fewest n-grams in common for a text inside another: ten words, as in Llama 2. A shorter text is anybody's. Of a
    # language that writes no spaces as many more as an English word has characters or syllables there (words.py).
    least: int = Field(default=8, ge=1)
    # A text that stands in more rows than this is a phrase of the trade, a signature, a canned answer. After dedupe
    # hardly anything leaks ten times.
    common: int = Field(default=10, ge=1)

    def many(self, rows: int) -> int:
        """An n-gram in more rows than this is part of a template."""
        return max(self.common, int(TEMPLATE * rows))


@dataclass(frozen=True)
class Scan:
    """What training texts share with the held-out ones.

    words: words a text. known: places in it with a known n-gram. template: whether an n-gram is one. hits: those that
    are not, in texts that have a word's worth of them. of_training, of_heldout: n-grams that are not of a template, a
    text.
    """

    words: Ints
    known: Ints
    template: Mask
    hits: Hits
    of_training: Ints
    of_heldout: Ints


class HeldoutIndex:
    """Held-out texts as n-grams; places in them, and in training texts, are numbers from 0.

    heldout: set (Int64 from 0: the holdout, the edge cases, ...), of (prompt or answer), text. training, everywhere
    below: row (Int64 from 0, ascending), part (prompt, answer or rejected), text. Texts are not empty.
    """

    def __init__(self, heldout: pl.DataFrame, settings: LeakSettings) -> None:
        self.heldout, self.settings = heldout, settings
        self.height = max(heldout.height, 1)
        self.index = NgramIndex(heldout["text"], settings.ngram)
        self.code = distinct(self.index.hits.gram * self.height + self.index.hits.text)
        self.gram, self.heldout_text = self.code // self.height, self.code % self.height
        self.runs = LongRuns(self.index, RUN)
        self.density = _density(heldout["text"])

    def scan(self, training: pl.DataFrame) -> Scan:
        """Look every text up once; what every text shares is counted, and then forgotten."""
        row, many, size = training["row"].to_numpy(), self.settings.many(training["row"].n_unique()), self.index.size
        count, known, length = np.zeros(size, np.int64), np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
        framed = np.zeros(self.runs.size, np.int64)
        kept = [Hits.joined([])]
        starts = np.searchsorted(row, np.arange(0, int(row.max(initial=0)) + 1, ROWS))  # a row is never cut in two
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(row)], strict=True):
            found, length[start:end] = self.index.find(training["text"][start:end])
            known[start:end] = np.bincount(found.text, minlength=end - start)
            hits = Hits(found.text + start, found.at, found.gram)
            framed += self.runs.texts_with(hits)
            count += np.bincount(distinct(row[hits.text] * size + hits.gram) % size, minlength=size)
            kept.append(self._some(hits.only(count[hits.gram] <= many)))  # what is a template already need not be kept
        template = self._with_frames((count > many) | self._heldout_template(), framed, few(len(row)))
        hits = Hits.joined(kept)
        hits = self._some(hits.only(~template[hits.gram]))
        own = np.maximum(length - self.settings.ngram + 1, 0) - known + np.bincount(hits.text, minlength=len(row))
        of_heldout = np.bincount(self.heldout_text[~template[self.gram]], minlength=self.heldout.height)
        return Scan(length, known, template, hits, own, of_heldout)

    def _some(self, hits: Hits) -> Hits:
        """Without the texts that have less than one word's n-grams: nothing is told from them."""
        starts = firsts(hits.text)
        many = np.diff(np.append(starts, len(hits.text)))
        return hits.only(np.repeat(many >= self.settings.ngram, many))

    def _heldout_template(self) -> Mask:
        found = np.zeros(self.index.size, np.bool_)
        sets = self.heldout["set"].to_numpy()
        for number in np.unique(sets):
            held = np.bincount(self.gram[sets[self.heldout_text] == number], minlength=self.index.size)
            found |= held > self.settings.many(int((sets == number).sum()))
        return found

    def _with_frames(self, template: Mask, counts: Ints, most: int) -> Mask:
        """The n-grams of a template, and those within long runs that several texts share: an instruction, a passage.

        counts: of the long runs, how many training texts have each; more than `most` here or in a held-out set are
        several. A held-out text that is nothing but such runs, or a courtesy besides, asks just that: its own are not
        of a frame.
        """
        sets = self.heldout["set"].to_numpy()
        hits = self.index.hits
        for number in np.unique(sets):
            counts = np.maximum(counts, self.runs.texts_with(hits.only(sets[hits.text] == number)))
        within = self.runs.within(hits, counts > most)
        found = np.zeros(self.index.size, np.bool_)
        found[hits.gram[within]] = True
        found[self.gram[np.isin(self.heldout_text, self._nothing_else(hits.only(within)))]] = False
        return template | found

    def _nothing_else(self, frames: Hits) -> Ints:
        """The held-out texts of which only a courtesy is left without the n-grams of frames."""
        covered: dict[int, set[int]] = {}
        for text, at in zip(frames.text.tolist(), frames.at.tolist(), strict=True):
            covered.setdefault(text, set()).update(range(at, at + self.settings.ngram))
        said = ((text, places, words(self.heldout["text"][text])) for text, places in covered.items())
        left = [" ".join(word for at, word in enumerate(every) if at not in places) for _, places, every in said]
        bare = pl.DataFrame({"left": left}, schema={"left": pl.String}).select(without_courtesy(pl.col("left")) == "")
        return np.array([text for text, is_bare in zip(covered, bare.to_series(), strict=True) if is_bare], np.int64)

    def hits_of(self, texts: pl.Series, training: pl.DataFrame) -> Hits:
        """All known n-grams of some of the training texts."""
        asked = texts.unique().sort()
        hits, _ = self.index.find(training["text"].gather(asked))
        return Hits(asked.to_numpy()[hits.text], hits.at, hits.gram)

    def shared_counts(self, hits: Hits) -> pl.DataFrame:
        """Counts of n-grams in common: heldout, text, shared (distinct ones), of each pair of texts that has any."""
        code = distinct(hits.text * self.index.size + hits.gram)
        text, gram = code // self.index.size, code % self.index.size
        first, last = (np.searchsorted(self.gram, gram, side=side) for side in ("left", "right"))
        pair = np.sort(np.repeat(text, last - first) * self.height + self.heldout_text[ranges(first, last - first)])
        starts = firsts(pair)
        shared, pair = np.diff(np.append(starts, len(pair))), pair[starts]
        return pl.DataFrame(
            {"heldout": pair % self.height, "text": pair // self.height, "shared": shared}, schema=PAIRS
        )


def _density(texts: pl.Series) -> npt.NDArray[np.float64]:
    """English words that one of each text's words says: 1, and less where no spaces are written."""
    found = np.ones(len(texts))
    for text in texts.str.contains(UNSPACED).arg_true():
        said = words(texts[text])
        found[text] = english_words(said) / len(said)
    return found
