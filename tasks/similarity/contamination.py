"""Contamination of training texts by held-out ones: the same text, nearly the same, or one inside the other.

Of two whole prompts the similarity is Jaccard's (near_duplicates.py). A text inside another is found by coverage, as
the field does it (GPT-3, appendix C; Llama 2, A.6; Tulu 3, 3.2), with what goes wrong there put right:

    templates         n-grams that a hundredth of either side has belong to the form of the data (a frame of
                      instructions, a signature): they do not count, in the texts that are looked for nor in those
                      that are looked through. Nor do stretches of eight words that a few texts of a side have, where
                      the held-out text has more to say than these (shared_wording.py)
    canned answers    a text that stands in more than `common` rows is what everybody says
    short texts       n-grams of 3 words, not 8 or 13: one changed word breaks three. A text with fewer than `least`
                      of its own must stand in the other word for word; one with fewer than VERBATIM is only compared
                      as a whole
    chance            the n-grams must lie close together: within three times the length of the held-out text
    the other way     a training text that is most of a held-out one, less a greeting, is found too; and so are two
                      prompts that are nearly the same but for their templates, however short
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.similarity.heldout_ngrams import PAIRS, HeldoutIndex, Scan
from tasks.similarity.ngram_index import Hits, distinct, firsts
from tasks.similarity.parallel import Mask, chunks, ranges
from tasks.similarity.set_join import BUDGET, Threshold, join
from tasks.similarity.shingles import shingle_sets

VERBATIM = 5  # n-grams, seven words, that are enough for a whole prompt inside another, word for word
HALF = Threshold.of(0.5)


class Contamination(HeldoutIndex):
    """Matches of training texts with held-out ones."""

    def matches(self, training: pl.DataFrame) -> pl.DataFrame:
        """Match all: heldout, text, shared, coverage, jaccard of each pair of a held-out text and a training text; of
        whole prompts the nearest a set.

        shared: distinct n-grams that both have; coverage: their share of the held-out text's. Where whole prompts are
        alike (jaccard is not null) all n-grams count, a text of fewer words being one; else those that are not of a
        template.
        """
        scan = self.scan(training)
        return pl.concat([self._whole(training, scan), self._inside(training, scan)], how="diagonal")

    def _whole(self, training: pl.DataFrame, scan: Scan) -> pl.DataFrame:
        asked = training.select("part", "text", place=pl.int_range(pl.len())).filter(pl.col("part") == "prompt")
        asks = self.heldout.select("of", "text", place=pl.int_range(pl.len())).filter(pl.col("of") == "prompt")
        same = asked.join(asks, on="text").select(heldout="place_right", text="place", jaccard=pl.lit(1.0))
        both = pl.concat([same, self._near(asked, asks, training, scan)])
        pairs = both.unique(["heldout", "text"], keep="first", maintain_order=True)
        known = pairs.join(
            self.shared_counts(self.hits_of(pairs["text"], training)), on=["heldout", "text"], how="left"
        )
        size = pl.Series(np.bincount(self.heldout_text, minlength=self.height)[known["heldout"].to_numpy()]).clip(1)
        return known.with_columns(pl.col("shared").fill_null(1)).with_columns(coverage=pl.col("shared") / size)

    def _near(self, asked: pl.DataFrame, asks: pl.DataFrame, training: pl.DataFrame, scan: Scan) -> pl.DataFrame:
        """heldout, text, jaccard: prompts that are nearly the same as a whole; of each held-out set the nearest."""
        place = asked["place"].to_numpy()
        may = (scan.known[place] > 0) | (scan.words[place] < self.settings.ngram)
        heldout, mine = asks["place"].to_numpy(), place[may]
        texts = pl.concat([asks["text"], asked["text"].filter(pl.Series(may, dtype=pl.Boolean))])
        sets, limit = shingle_sets([texts], self.settings.ngram), Threshold.of(self.settings.threshold)
        found, waiting = [], [np.arange(len(heldout), len(texts))]
        while waiting:
            part = waiting.pop()
            some = sets.only((sets.row < len(heldout)) | np.isin(sets.row, part))
            met = join(some, limit, BUDGET if len(part) > 1 else 2**62, sides=some.row < len(heldout))
            if met is None:  # thousands of texts like each of thousands: by halves, since only the nearest is asked for
                waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
                continue
            numbers = {
                "heldout": heldout[met[0]],
                "text": mine[met[1] - len(heldout)],
                "overlap": met[2],
                "union": met[3],
            }
            found.append(self._nearest(self._not_template(pl.DataFrame(numbers), training, scan)))
        return pl.concat(found)

    def _not_template(self, pairs: pl.DataFrame, training: pl.DataFrame, scan: Scan) -> pl.DataFrame:
        """Pairs that without their template are still half alike, if the held-out text has anything but a template."""
        hits = self.hits_of(pairs["text"], training)
        shared = self.shared_counts(hits.only(~scan.template[hits.gram]))
        known = pairs.join(shared, on=["heldout", "text"], how="left", maintain_order="left")
        hits = hits.only(scan.template[hits.gram])
        code = distinct(hits.text * self.index.size + hits.gram) // self.index.size
        heldout, text = known["heldout"].to_numpy(), known["text"].to_numpy()
        both, size = (
            known["shared"].fill_null(0).to_numpy(),
            np.bincount(self.heldout_text, minlength=self.height)[heldout],
        )
        ours_own = (known["union"] + known["overlap"]).to_numpy() - size
        ours_own -= np.searchsorted(code, text, side="right") - np.searchsorted(code, text)
        own = scan.of_heldout[heldout]
        return pairs.filter(pl.Series((own == 0) | (2 * both >= own + ours_own - both), dtype=pl.Boolean))

    def _nearest(self, pairs: pl.DataFrame) -> pl.DataFrame:
        known = pairs.with_columns(
            set=self.heldout["set"].gather(pairs["heldout"]), jaccard=pl.col("overlap") / pl.col("union")
        )
        ordered = known.sort("text", "set", -pl.col("jaccard"), "heldout")
        return ordered.unique(["text", "set"], keep="first", maintain_order=True).select("heldout", "text", "jaccard")

    def _inside(self, training: pl.DataFrame, scan: Scan) -> pl.DataFrame:
        """heldout, text, shared, coverage: a held-out text inside one of ours, or the other way."""
        hits, found = scan.hits, [pl.DataFrame(schema=PAIRS)]
        fan = np.bincount(self.gram, minlength=self.index.size)[hits.gram]
        starts = firsts(hits.text)
        ends = np.append(starts[1:], len(hits.text))
        for part in chunks(np.add.reduceat(fan, starts) if len(starts) else fan, BUDGET):
            mine = hits.only(np.arange(starts[part][0], ends[part][-1]))
            met = self._passing(self.shared_counts(mine), training, scan)
            found.append(self._passing(self._close(met, mine), training, scan))
        pairs = self._uncommon(pl.concat(found), training, scan)
        own = pl.Series(scan.of_heldout[pairs["heldout"].to_numpy()], dtype=pl.Int64)
        return pairs.with_columns(coverage=pl.col("shared") / own)

    def _passing(self, pairs: pl.DataFrame, training: pl.DataFrame, scan: Scan) -> pl.DataFrame:
        heldout, text, shared = (pairs[name].to_numpy() for name in PAIRS)
        own, size, limit = scan.of_heldout[heldout], scan.of_training[text], Threshold.of(self.settings.coverage)
        theirs_inside = shared >= limit.partner(own)
        ours_inside = (shared >= limit.partner(size)) & (shared >= HALF.partner(own))
        alike = (shared >= Threshold.of(self.settings.threshold).overlap(own + size)) & (shared >= self.settings.ngram)
        asks, asked = self._prompts(pairs, training)
        said = shared * self.density[heldout]
        long = (said >= self.settings.least) & (asks | ~asked)  # an answer in a prompt is read, not learned
        long |= (shared == own) & (said >= VERBATIM) & asks & asked
        passed = (long & (theirs_inside | ours_inside)) | (alike & asks & asked)
        return pairs.filter(pl.Series(passed, dtype=pl.Boolean))

    def _prompts(self, pairs: pl.DataFrame, training: pl.DataFrame) -> tuple[Mask, Mask]:
        """Whether the held-out text is a prompt, and whether ours is."""
        heldout, ours_part = self.heldout["of"].gather(pairs["heldout"]), training["part"].gather(pairs["text"])
        return (heldout == "prompt").to_numpy(), (ours_part == "prompt").to_numpy()

    def _close(self, pairs: pl.DataFrame, hits: Hits) -> pl.DataFrame:
        """The pairs with `shared` counted within the best stretch of the text, thrice as long as the held-out text.

        Stretches begin at every whole length, so what is up to twice as long as the held-out text lies in one as a
        whole.
        """
        heldout, text = pairs["heldout"].to_numpy(), pairs["text"].to_numpy()
        first, last = (np.searchsorted(hits.text, text, side=side) for side in ("left", "right"))
        place, pair = ranges(first, last - first), np.repeat(np.arange(len(text)), last - first)
        both = np.isin(hits.gram[place] * self.height + heldout[pair], self.code)
        block = hits.at[place][both] // self.index.lengths[heldout[pair[both]]]
        met = pl.DataFrame({"pair": pair[both], "gram": hits.gram[place][both], "block": block})
        stretches = pl.concat([met.with_columns(pl.col("block") - back) for back in range(3)])
        best = (
            stretches.group_by("pair", "block")
            .agg(pl.col("gram").n_unique())
            .group_by("pair")
            .agg(pl.col("gram").max())
        )
        return pairs.with_columns(shared=best.sort("pair")["gram"].cast(pl.Int64))

    def _uncommon(self, pairs: pl.DataFrame, training: pl.DataFrame, scan: Scan) -> pl.DataFrame:
        """Without texts that more than `common` rows hold, but for a prompt that stands whole in one that is little
        else.
        """
        heldout, text, shared = (pairs[name].to_numpy() for name in PAIRS)
        asks, asked = self._prompts(pairs, training)
        whole = (shared == scan.of_heldout[heldout]) & (shared >= HALF.partner(scan.of_training[text])) & asks & asked
        known = pairs.with_columns(row=training["row"].gather(text))
        few = pl.col("row").n_unique().over("heldout") <= self.settings.common
        return known.filter(few | pl.Series(whole, dtype=pl.Boolean)).drop("row")
