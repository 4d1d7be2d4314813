"""What others would rank by: BM25 of a library at its defaults, the frozen encoder alone, and the best fixed mix of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.search_quality_data import Catalogue

Floats = NDArray[np.float64]
GRID = tuple(round(share, 2) for share in np.arange(0.05, 1.0, 0.05))  # of the encoder in the mix


class LibraryBM25:
    """bm25s as its README sets it up: its defaults, English stemmer and stop words, over title and description."""

    def __init__(self, catalogue: Catalogue) -> None:
        import bm25s
        import Stemmer

        self._stemmer = Stemmer.Stemmer("english")
        self._index = bm25s.BM25()
        self._index.index(self._tokenize(catalogue.texts), show_progress=False)

    def _tokenize(self, texts: Sequence[str]) -> object:
        import bm25s

        return bm25s.tokenize(list(texts), stopwords="en", stemmer=self._stemmer, show_progress=False)

    def scores(self, query: str) -> Floats:
        """Scores of all products, (N,)."""
        import bm25s

        tokens = bm25s.tokenize([query], stopwords="en", stemmer=self._stemmer, return_ids=False, show_progress=False)
        return np.asarray(self._index.get_scores(tokens[0]), dtype=np.float64)


def min_max(scores: Floats) -> Floats:
    """Scores stretched to [0, 1] over all products; zeros where all are equal."""
    low, high = np.nanmin(scores), np.nanmax(scores)
    return np.nan_to_num((scores - low) / (high - low)) if high > low else np.zeros_like(scores)


def mixed(encoder: Floats, bm25: Floats, share: float) -> Floats:
    """`share` of the encoder and the rest of BM25, (N,)."""
    return share * min_max(encoder) + (1.0 - share) * min_max(bm25)
