"""TF-IDF vectors of texts, condensed by SVD: near ones say much the same.

TF-IDF over words, word pairs and runs of three and four letters inside a word (spelling mistakes and endings keep most
of those; shorter and longer runs cost twice the time and found no more), condensed by a singular value decomposition
(latent semantic analysis). Needs no model, no network and no GPU.

The same texts in the same order give the same vectors, whatever the number of threads: sums are taken by one thread,
since two add in another order, and what is near a limit would fall on the other side of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.similarity.words import PYTHON_WORD

if TYPE_CHECKING:
    import scipy.sparse

Vectors = NDArray[np.float32]

EXACT_ROWS = 2_000  # up to here all dimensions are kept, by a decomposition whose cost is the cube of this: 1.5 s
SAMPLE = 20_000  # texts that vocabulary, weights and dimensions are learnt from: some ten seconds, however many follow
PIECE = 20_000  # texts condensed at a time: bounds the memory that is not the result's
CHARACTERS = 2_000  # of a text that count: what a message is about stands in its first paragraphs


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra by one thread: the same sums on every machine of a kind, and no wait for a busy second core."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def text_vectors(texts: Sequence[str], dimensions: int = 256) -> Vectors:
    """One vector of length 1 (0 for an empty text) a text; n x `dimensions` or fewer, float32. All 0 if no text has a
    word.

    texts: in an order that does not depend on the data's (by row_id); the first SAMPLE teach the weights. Up to
    EXACT_ROWS texts keep as many dimensions as they have.
    """
    cut = [text[:CHARACTERS] for text in texts]
    with one_thread():
        weigh = tfidf_weights(cut[:SAMPLE])
        if weigh is None:
            return np.zeros((len(cut), 1), dtype=np.float32)
        if len(cut) <= EXACT_ROWS:
            return _unit(_exact(weigh(cut)))
        return _condensed(cut, weigh, dimensions)


def tfidf_weights(sample: list[str]) -> Any:
    """A function from texts, cut at CHARACTERS, to their sparse TF-IDF rows; None if no text has a word."""
    import scipy.sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    # A feature of a single text ties it to none; in a small set it still tells that text apart.
    shared: dict[str, Any] = {"sublinear_tf": True, "min_df": 2 if len(sample) > EXACT_ROWS else 1, "dtype": np.float32}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=PYTHON_WORD, **shared)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), **shared)
    try:
        fitted = [words.fit(sample), letters.fit(sample)]
    except ValueError:  # scikit-learn's word for an empty vocabulary
        return None
    return lambda texts: scipy.sparse.hstack([part.transform(texts) for part in fitted]).tocsr()


def _exact(weighed: scipy.sparse.csr_matrix) -> NDArray[np.float64]:
    """Coordinates with the very inner products of `weighed`, from the eigenvectors of those."""
    values, axes = np.linalg.eigh((weighed @ weighed.T).toarray().astype(np.float64))
    real = values > 1e-6 * max(values[-1], 1e-12)
    return np.asarray(axes[:, real] * np.sqrt(values[real]))


def _condensed(texts: list[str], weigh: Any, dimensions: int) -> Vectors:
    from sklearn.decomposition import TruncatedSVD

    weighed = weigh(texts[:SAMPLE])
    # Two power iterations, less than half of the library's five; every figure told of this was measured with two.
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # the share of variance explained, where all texts are one; not used
        svd = TruncatedSVD(min(dimensions, weighed.shape[1]), n_iter=2, random_state=0).fit(weighed)
    pieces = (texts[start : start + PIECE] for start in range(0, len(texts), PIECE))
    return np.concatenate([_unit(svd.transform(weigh(piece))) for piece in pieces])


def _unit(vectors: NDArray[Any]) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 1e-9, length, 1), dtype=np.float32)
