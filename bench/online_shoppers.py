"""Simulated shoppers of any judged catalogue (pure): they examine by position, click by rating, and may change their taste."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import log2

from bench.search_quality_data import Ratings

SHOWN = 10
# How often a product of each rating is clicked when it is looked at; what nobody judged is like a 0.
CLICK_BY_RATING = (0.05, 0.2, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Visit:
    """A search and the ranks (from 1) that were clicked."""

    query: str
    clicked: list[int]


def examined(rank: int) -> float:
    """P(a shopper looks at a rank, counted from 1)."""
    return 1.0 / log2(1 + rank)


def click_probability(rank: int, rating: float) -> float:
    """P(a shopper clicks a product of this rating at this rank)."""
    best = len(CLICK_BY_RATING) - 1
    return examined(rank) * CLICK_BY_RATING[max(0, min(best, round(rating)))]


def clicked_ranks(shown: Sequence[str], ratings: Mapping[str, float], rng: random.Random) -> list[int]:
    """The ranks that one shopper clicks on a page, best first."""
    return [
        rank
        for rank, product in enumerate(shown[:SHOWN], start=1)
        if rng.random() < click_probability(rank, ratings.get(product, 0.0))
    ]


def is_seen(query: str) -> bool:
    """Whether the simulated shoppers ask a query: the half whose sha256 is even; the other half is never asked."""
    return sha256(query.encode()).digest()[-1] % 2 == 0


def flipped(ratings: Ratings) -> Ratings:
    """The taste turned over: of each query's judged products the best become the worst, and the worst the best."""
    found: Ratings = {}
    for query, of_query in ratings.items():
        low, high = min(of_query.values()), max(of_query.values())
        found[query] = {product: low + high - rating for product, rating in of_query.items()}
    return found


def asked(queries: Sequence[str], *, seed: int) -> Iterator[str]:
    """Queries without end, each as likely as any other."""
    rng = random.Random(seed)
    while True:
        yield rng.choice(queries)
