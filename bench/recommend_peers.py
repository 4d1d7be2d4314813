"""What Freshet's recommendations are measured beside: implicit's ALS, BPR and item-kNN, EASE, 7-day popularity.

Each is fitted anew to all that happened before a moment; between two fits ALS, item-kNN and EASE answer from the shopper's
history as it is now, which is more than a frozen list would know. Of whom nothing is known is shown what is popular.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sparse
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender
from implicit.utils import ParameterWarning
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from bench.recommend_log import DAY, Ints
from bench.recommend_protocols import Past, Question

Floats: TypeAlias = NDArray[np.float64]
DEPTH = 50
WEEK, MONTH = 7 * DAY, 30 * DAY


class Peer:
    """Somebody who scores all items for a question. Refitted so often, in seconds, as questions come in time order."""

    refit_seconds: float = WEEK

    def see(self, past: Past, number: int) -> None:
        """Take note of an event just before it is known; for what needs no fit."""

    def learn(self, past: Past) -> None:
        """Fit to all that is known."""

    def scores(self, past: Past, question: Question) -> Floats | None:
        """Score every item, (N,); None where nothing is known of the shopper."""
        raise NotImplementedError


def matrix_of(past: Past, *, counts: bool) -> sparse.csr_matrix:
    """Who took what, (U, N): how often, or only whether."""
    log, end = past.log, past.end
    shape = (len(log.shopper_ids), len(log.item_ids))
    made = sparse.csr_matrix((np.ones(end, dtype=np.float32), (log.shopper[:end], log.item[:end])), shape=shape)
    made.sum_duplicates()
    if not counts:
        made.data[:] = 1.0
    return made


def row_of(past: Past, shopper: int, *, counts: bool) -> sparse.csr_matrix:
    """What one shopper took, (1, N)."""
    items, times = np.unique(past.log.item[past.of(shopper)], return_counts=True)
    data = times.astype(np.float32) if counts else np.ones(len(items), dtype=np.float32)
    return sparse.csr_matrix((data, (np.zeros(len(items), dtype=int), items)), shape=(1, len(past.log.item_ids)))


@dataclass
class Popularity(Peer):
    """What was taken most, with a half-life of seven days."""

    refit_seconds: float = np.inf

    def scores(self, past: Past, question: Question) -> Floats | None:
        return past.popular(question.at)


@dataclass
class Als(Peer):
    """Weighted matrix factorisation. Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", 2008."""

    factors: int
    alpha: float
    regularization: float = 10.0  # 0.05 and 1 were no better on toys and worse on retail
    counts: bool = False
    _model: Any = field(default=None, repr=False)

    def learn(self, past: Past) -> None:
        with threadpool_limits(1, "blas"):  # it says itself that BLAS threads get in the way of its own
            self._model = AlternatingLeastSquares(
                factors=self.factors, regularization=self.regularization, alpha=self.alpha, iterations=15, random_state=0,
                num_threads=os.cpu_count() or 1, use_gpu=False,
            )  # fmt: skip
            self._model.fit(matrix_of(past, counts=self.counts), show_progress=False)
        self._model.num_threads = 1  # from here on it is given one shopper at a time

    def scores(self, past: Past, question: Question) -> Floats | None:
        row = row_of(past, question.shopper, counts=self.counts)
        if not row.nnz:
            return None
        return np.asarray(self._model.item_factors @ self._model.recalculate_user([0], row)[0], dtype=np.float64)


@dataclass
class Bpr(Peer):
    """Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", 2009. A shopper is as she was when fitted."""

    learning_rate: float
    factors: int = 64
    _model: Any = field(default=None, repr=False)
    _known: frozenset[int] = field(default=frozenset(), repr=False)

    def learn(self, past: Past) -> None:
        self._model = BayesianPersonalizedRanking(
            factors=self.factors, learning_rate=self.learning_rate, regularization=0.01, iterations=100, random_state=0,
            num_threads=1, use_gpu=False,  # with several threads it comes out different each time
        )  # fmt: skip
        with threadpool_limits(1, "blas"):
            self._model.fit(matrix_of(past, counts=False), show_progress=False)
        self._known = frozenset(past.events)

    def scores(self, past: Past, question: Question) -> Floats | None:
        if question.shopper not in self._known:
            return None
        return np.asarray(self._model.item_factors @ self._model.user_factors[question.shopper], dtype=np.float64)


@dataclass
class Knn(Peer):
    """Item-kNN over BM25 weights, as implicit has it."""

    neighbours: int
    k1: float = 1.2
    b: float = 0.75
    counts: bool = False
    _similarity: Any = field(default=None, repr=False)

    def learn(self, past: Past) -> None:
        model = BM25Recommender(K=self.neighbours, K1=self.k1, B=self.b, num_threads=os.cpu_count() or 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)  # of the form of its own intermediate result
            model.fit(matrix_of(past, counts=self.counts), show_progress=False)
        self._similarity = model.similarity

    def scores(self, past: Past, question: Question) -> Floats | None:
        row = row_of(past, question.shopper, counts=self.counts)
        return np.asarray((row @ self._similarity).toarray()[0], dtype=np.float64) if row.nnz else None


@dataclass
class Ease(Peer):
    """Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019: one inverse of items by items, so once a month."""

    penalty: float
    refit_seconds: float = MONTH
    _weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False)
    _place: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)  # -1: nobody took it yet

    def learn(self, past: Past) -> None:
        every = matrix_of(past, counts=False)
        taken = np.flatnonzero(every.getnnz(axis=0))
        self._place = np.full(every.shape[1], -1, dtype=np.int64)
        self._place[taken] = np.arange(len(taken))
        self._weights = ease_weights(every[:, taken], self.penalty)

    def scores(self, past: Past, question: Question) -> Floats | None:
        items = np.unique(past.log.item[past.of(question.shopper)])
        items = items[self._place[items] >= 0]
        if not len(items):
            return None
        found = np.zeros(len(self._place))
        found[self._place >= 0] = self._weights[self._place[items]].sum(axis=0)
        return found


def ease_weights(taken: sparse.csr_matrix, penalty: float) -> NDArray[np.float32]:
    """B (N, N) of (U, N): least squares of each item on all others, B_ij = -P_ij / P_jj with P = (XᵀX + penalty I)⁻¹."""
    gram = (taken.T @ taken).toarray().astype(np.float32, order="F")
    gram[np.diag_indices_from(gram)] += penalty
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, failed_too = lapack.spotri(
        factor, lower=1, overwrite_c=1
    )  # by Cholesky: half the work of an inverse by LU
    if failed or failed_too:
        raise ValueError(f"XᵀX + {penalty} I has no inverse")
    whole = np.tril(inverse)
    whole += np.tril(inverse, -1).T
    whole /= -np.diag(whole).copy()
    whole[np.diag_indices_from(whole)] = 0.0
    return np.ascontiguousarray(whole)


Maker: TypeAlias = Callable[[], Peer]


def _grid(kind: Callable[..., Peer], grid: Sequence[Mapping[str, Any]]) -> list[Maker]:
    return [lambda options=each: kind(**options) for each in grid]  # type: ignore[misc]


PEERS: Mapping[str, list[Maker]] = {
    "popularity": [Popularity],
    # of (factors 32 to 256; alpha 1, 10, 40) these were best on one log or the other
    "als": _grid(Als, [dict(factors=64, alpha=1.0), dict(factors=128, alpha=1.0), dict(factors=128, alpha=10.0),
                       dict(factors=256, alpha=10.0, regularization=1.0)]),
    "bpr": _grid(Bpr, [dict(learning_rate=0.05), dict(learning_rate=0.02)]),
    # b 0.2 on toys; counts where things are bought again
    "knn": _grid(Knn, [dict(neighbours=50), dict(neighbours=50, k1=0.5, b=0.2), dict(neighbours=500, k1=0.5, b=0.2),
                       dict(neighbours=50, counts=True), dict(neighbours=500, counts=True)]),
    "ease": _grid(Ease, [dict(penalty=100.0), dict(penalty=300.0), dict(penalty=1000.0)]),
}  # fmt: skip
