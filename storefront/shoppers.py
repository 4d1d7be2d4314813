"""Simulated shoppers as pure functions: what they want, which query they type, what they look at, what they click.

The click model is the position-based one: a shopper clicks what she examines and likes. Her liking is hidden from the
shop: it rests on the judgements of the sample shop and on a taste that the words of the products say nothing about,
so that only feedback can teach it. In the middle of a run the taste may change.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from storefront.sample_shop.judgments import judged_queries
from storefront.sample_shop.products import sample_listings

Trend = Literal["flip", "drift", "none"]
TRENDS: tuple[Trend, ...] = ("flip", "drift", "none")

ZIPF_EXPONENT = 1.1
# A minute holds about a thousand searches; over more queries than these each would be asked too seldom to learn from.
POPULAR_QUERIES = 100
# How often a product of each rating is clicked when it is looked at and to the shopper's taste; a 0 is a slip.
CLICK_BY_RATING: Mapping[int, float] = {3: 0.7, 2: 0.3, 1: 0.06, 0: 0.01}
FAVOURITE_SHARE, FAVOURITE_APPEAL, OTHER_APPEAL = 0.25, 1.0, 0.2
BASKET_SHARE, PURCHASE_SHARE = 0.12, 0.3
FLIPPED_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Product:
    """What a taste depends on: which kind of product it is and when it came out (ISO date)."""

    product_id: str
    kind: str
    released_at: str


@dataclass(frozen=True, kw_only=True)
class Action:
    """What a shopper does with a product at a rank (from 1)."""

    kind: Literal["click", "add_to_cart", "purchase"]
    product_id: str
    rank: int


@dataclass(frozen=True, kw_only=True)
class Taste:
    """The hidden liking of the shoppers, in [0, 1] for a query, a product and a moment (0 start of the run, 1 end)."""

    ratings: Mapping[str, Mapping[str, int]]
    before: Mapping[str, float]
    after: Mapping[str, float]
    trend: Trend

    def relevance(self, *, query: str, product_id: str, moment: float) -> float:
        """Return the probability that a shopper who looks at the product clicks it."""
        rating = self.ratings[query].get(product_id, 0)
        old, new = self.before.get(product_id, OTHER_APPEAL), self.after.get(product_id, OTHER_APPEAL)
        share = new_share(trend=self.trend, moment=moment)
        return CLICK_BY_RATING[rating] * (old * (1 - share) + new * share)

    def ideal(self, *, query: str, moment: float) -> list[float]:
        """Return the relevance of every product that the query has a rating for, best first."""
        products = self.ratings[query]
        return sorted((self.relevance(query=query, product_id=p, moment=moment) for p in products), reverse=True)


def new_share(*, trend: Trend, moment: float) -> float:
    """Return how much of the later taste holds at a moment in [0, 1]: all from the middle on, or little by little."""
    if trend == "none":
        return 0.0
    return float(moment >= 0.5) if trend == "flip" else min(1.0, max(0.0, moment))


def sample_taste(*, seed: int, trend: Trend) -> Taste:
    """Return the taste of the shoppers of the sample shop."""
    products = [
        Product(product_id=listing.product_id, kind=listing.kind.key, released_at=listing.product["released_at"])
        for listing in sample_listings()
    ]
    before = appeals(products=products, rng=random.Random(seed))
    after = flipped(products=products, before=before, rng=random.Random(seed + 1))
    ratings = {query.text: query.ratings for query in judged_queries()}
    return Taste(ratings=ratings, before=before, after=after, trend=trend)


def appeals(*, products: Sequence[Product], rng: random.Random) -> dict[str, float]:
    """Draw the favourites: a quarter of the products please five times as much as the others."""
    return {
        product.product_id: FAVOURITE_APPEAL if rng.random() < FAVOURITE_SHARE else OTHER_APPEAL for product in products
    }


def flipped(*, products: Sequence[Product], before: Mapping[str, float], rng: random.Random) -> dict[str, float]:
    """Return the later taste: in half of the kinds the two newest products are the favourites, and nothing else is."""
    after = dict(before)
    for kind in sorted({product.kind for product in products}):
        if rng.random() < FLIPPED_SHARE:
            own = sorted((p for p in products if p.kind == kind), key=lambda p: (p.released_at, p.product_id))
            after |= {product.product_id: OTHER_APPEAL for product in own}
            after |= {product.product_id: FAVOURITE_APPEAL for product in own[-2:]}
    return after


def query_popularity(*, queries: Sequence[str], seed: int) -> tuple[list[str], list[float]]:
    """Return the popular queries, the most popular first, and their cumulative Zipf weights (for `random.choices`)."""
    order = random.Random(seed).sample(list(queries), k=min(POPULAR_QUERIES, len(queries)))
    total, cumulative = 0.0, []
    for rank in range(1, len(order) + 1):
        total += rank**-ZIPF_EXPONENT
        cumulative.append(total)
    return order, cumulative


def examination(rank: int) -> float:
    """Return the probability that the result at a rank (from 1) is looked at."""
    return 1 / math.log2(1 + rank)


def shopper_actions(*, shown: Sequence[str], relevance: Callable[[str], float], rng: random.Random) -> list[Action]:
    """Return what a shopper does with a result list, in the order in which she does it."""
    actions: list[Action] = []
    for rank, product_id in enumerate(shown, start=1):
        if rng.random() < examination(rank) * relevance(product_id):
            actions.append(Action(kind="click", product_id=product_id, rank=rank))
            if rng.random() < BASKET_SHARE:
                actions.append(Action(kind="add_to_cart", product_id=product_id, rank=rank))
                if rng.random() < PURCHASE_SHARE:
                    actions.append(Action(kind="purchase", product_id=product_id, rank=rank))
    return actions


def ndcg_at_k(*, gains: Sequence[float], ideal: Sequence[float], k: int) -> float:
    """Return the normalised discounted cumulative gain of a list, in [0, 1]; 0 when nothing could be gained.

    `gains` are in the order shown, `ideal` are all possible gains, best first.
    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002, with linear gain.
    """
    best = _dcg(ideal[:k])
    return _dcg(gains[:k]) / best if best > 0 else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain * examination(rank) for rank, gain in enumerate(gains, start=1))
