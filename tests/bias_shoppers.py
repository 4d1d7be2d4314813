"""Shoppers whose examination by rank is known, in a shop that orders at random or by what was clicked before."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ranking.learning.position_bias import Looks

APPEALS, HOW_MANY = (0.05, 0.2, 0.5, 0.9), (0.5, 0.25, 0.15, 0.1)
QUERIES, PRODUCTS = 60, 15
Order = Literal["never", "at random", "by clicks"]


def looks_simulated(curve: NDArray[np.float64], *, visits: int, moves: Order, seed: int) -> Looks:
    """Let shoppers see first pages and click by curve · appeal. `moves`: how products come to other ranks."""
    return _looks(tuple(curve.tolist()), visits, moves, seed)


@cache
def _looks(curve: tuple[float, ...], visits: int, moves: Order, seed: int) -> Looks:
    rng = np.random.default_rng(seed)
    appeal = rng.choice(APPEALS, p=HOW_MANY, size=(QUERIES, PRODUCTS))
    thought = appeal * 0.6 + rng.normal(0, 0.25, appeal.shape)  # by the ranker, before any click
    expected = 1 / (1 + np.exp(-4 * (thought - 0.3)))
    clicked, exposed = np.zeros_like(appeal), np.zeros_like(appeal)
    busy = rng.dirichlet(np.full(QUERIES, 0.5))
    seen: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0])
    first: dict[tuple[int, int], int] = {}
    for query in rng.choice(QUERIES, p=busy, size=visits):
        scores = thought[query]
        if moves == "at random":
            scores = scores + rng.normal(0, 0.15, PRODUCTS)
        elif moves == "by clicks":
            scores = expected[query] * (clicked[query] + 3) / (exposed[query] * expected[query] + 3)
        page = np.argsort(-scores, kind="stable")[: len(curve)]
        clicks = rng.random(len(curve)) < curve * appeal[query, page]
        clicked[query, page] += clicks
        exposed[query, page] += curve
        for rank, (product, click) in enumerate(zip(page.tolist(), clicks.tolist(), strict=True), start=1):
            count = seen[int(query), product, rank]
            count[0], count[1] = count[0] + 1, count[1] + click
            first.setdefault((int(query), product), rank)
    return looks_of(seen, first)


def looks_of(seen: dict[tuple[int, int, int], list[int]], first: dict[tuple[int, int], int]) -> Looks:
    """Counts of (query, product, rank) as the estimate takes them."""
    keys, pairs = sorted(seen), {pair: n for n, pair in enumerate(sorted(first))}
    return Looks(
        pairs=np.array([pairs[query, product] for query, product, _ in keys], dtype=np.int64),
        ranks=np.array([rank for _, _, rank in keys], dtype=np.int64),
        shown=np.array([seen[key][0] for key in keys], dtype=np.float64),
        clicked=np.array([seen[key][1] for key in keys], dtype=np.float64),
        first=np.array([first[pair] for pair in sorted(first)], dtype=np.int64),
    )
