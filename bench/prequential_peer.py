"""What a Python engineer would write otherwise, in memory: clicks of each query, decayed, over a fixed prior."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.prequential_log import Click, words
from bench.search_quality_peers import min_max

Floats = NDArray[np.float64]
HALF_LIFE_SECONDS = 3 * 86_400.0
POPULARITY = 0.3  # against at most 1 for words: without words in common it decides


class PlainCounts:
    """Decayed clicks of a query per product, and a prior of BM25, trigrams and popularity where there are none."""

    def __init__(self, products: Mapping[str, str]) -> None:
        """`products` maps ids to names."""
        import bm25s

        self._ids = list(products)
        self._index_of = {product_id: n for n, product_id in enumerate(self._ids)}
        self._bm25 = bm25s.BM25()
        self._bm25.index([words(name).split() or [""] for name in products.values()], show_progress=False)
        self._trigrams = [_trigrams(words(name)) for name in products.values()]
        self._text: dict[str, Floats] = {}
        self._counts: defaultdict[str, dict[int, tuple[float, float]]] = defaultdict(dict)  # n: count, at
        self._popular, self._popular_at = np.zeros(len(self._ids)), 0.0

    def apply(self, clicks: Sequence[Click]) -> None:
        """Count clicks, in the order in which they became visible."""
        for click in clicks:
            n = self._index_of.get(click.product_id)
            if n is None:
                continue
            count, at = self._counts[click.words].get(n, (0.0, click.clicked_at))
            newest = max(at, click.clicked_at)
            total = count * _left(newest - at) + _left(newest - click.clicked_at)
            self._counts[click.words][n] = total, newest
            self._popular *= _left(max(click.clicked_at - self._popular_at, 0.0))
            self._popular_at = max(self._popular_at, click.clicked_at)
            self._popular[n] += _left(self._popular_at - click.clicked_at)

    def rank(self, query: str, now: float) -> dict[str, list[str]]:
        """All product ids, best first, of the one arm there is."""
        key = words(query)
        if key not in self._text:
            self._text[key] = self._by_text(key)
        scores = self._text[key] + POPULARITY * min_max(np.log1p(self._popular))
        for n, (count, at) in self._counts[key].items() if key in self._counts else ():
            scores[n] += count * _left(now - at)
        return {"plain": [self._ids[n] for n in np.argsort(-scores, kind="stable")]}

    def _by_text(self, key: str) -> Floats:
        """BM25 and the share of the query's trigrams, half of the weight each, (N,) in [0, 1]."""
        found = np.zeros(len(self._ids))
        if key:
            found += 0.5 * min_max(np.asarray(self._bm25.get_scores(key.split()), dtype=np.float64))
        wanted = _trigrams(key)
        shared = np.array([len(wanted & each) for each in self._trigrams]) / max(len(wanted), 1)
        return found + 0.5 * shared


def _left(age_seconds: float) -> float:
    return float(0.5 ** (max(age_seconds, 0.0) / HALF_LIFE_SECONDS))


def _trigrams(text: str) -> set[str]:
    return {f"  {word} "[n : n + 3] for word in text.split() for n in range(len(word) + 1)}
