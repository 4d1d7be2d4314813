"""What shoppers ask the sample shop, and how well each product answers: derived from structure, not from words.

Ratings are those of the field: 3 exactly what was asked for, 2 would do instead, 1 goes with it or is the thing without
what was asked of it, 0 something else. Zeros are chosen to be hard: products of the same category, and products whose
title shares words with the query.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from storefront.sample_shop.products import SEED, Listing, sample_listings
from storefront.sample_shop.vocabulary import Ask, Kind, all_hold, holds, kinds, use_asks

EASY_ZEROS = 6
HARD_ZEROS_BY_WORDS = 6
BRAND_QUERY_EVERY = 3


@dataclass(frozen=True, kw_only=True)
class JudgedQuery:
    """A query and the rating of every product that was judged for it, by product id."""

    text: str
    ratings: dict[str, int]


def sample_queries() -> list[str]:
    """Return every query of the sample shop, each once, in a fixed order."""
    return [query.text for query in judged_queries()]


def sample_judgments() -> list[tuple[str, str, int]]:
    """Return `(query, product_id, rating 0..3)`; what is not listed for a query would be a 0."""
    return [
        (query.text, product_id, rating) for query in judged_queries() for product_id, rating in query.ratings.items()
    ]


@cache
def judged_queries() -> tuple[JudgedQuery, ...]:
    """Return every query with its ratings, some 3 and some 0; a query that no product answers is left out."""
    listings = sample_listings()
    rated = [*_kind_queries(listings), *_brand_queries(listings), *_use_queries(listings)]
    return tuple(
        JudgedQuery(text=text, ratings=_with_zeros(text, ratings, listings))
        for text, ratings in rated
        if 3 in ratings.values()
    )


def _kind_queries(listings: Sequence[Listing]) -> Iterator[tuple[str, dict[str, int]]]:
    for kind in kinds().values():
        for ask in kind.asks:
            yield ask.text, _rated(listings, {listing.product_id: _rate(ask, kind, listing) for listing in listings})


def _rate(ask: Ask, kind: Kind, listing: Listing) -> int:
    facts = {**listing.facts, **{name: str(value) for name, value in listing.product["attributes"].items()}}
    facts |= listing.facts  # "yes", not "True"
    met = all_hold(conditions=ask.wants, facts=facts)
    if listing.kind.key == kind.key:
        partly = any(holds(condition=want, facts=facts) for want in ask.wants)
        return 3 if met else 2 if partly else 1
    if listing.kind.key in kind.instead:
        return 2 if met else 1
    goes_with_it = listing.kind.key in kind.near or kind.key in listing.kind.accessory_of
    return 1 if goes_with_it else 0


def _brand_queries(listings: Sequence[Listing]) -> Iterator[tuple[str, dict[str, int]]]:
    """`fellmark hiking boots`: the brand's own first, another brand's would do, the brand's other things go with it."""
    for kind in list(kinds().values())[::BRAND_QUERY_EVERY]:
        own = [listing for listing in listings if listing.kind.key == kind.key]
        for brand in (own[0].product["brand"], own[-2].product["brand"]):
            noun = kind.noun.zh if own[-2].product["brand"] == brand else kind.noun.en.lower()
            ratings = {listing.product_id: _rate_brand(brand, kind, listing) for listing in listings}
            yield f"{brand.lower()} {noun}", _rated(listings, ratings)


def _rate_brand(brand: str, kind: Kind, listing: Listing) -> int:
    same_brand = listing.product["brand"] == brand
    if listing.kind.key == kind.key:
        return 3 if same_brand else 2
    return 1 if same_brand else 0


def _use_queries(listings: Sequence[Listing]) -> Iterator[tuple[str, dict[str, int]]]:
    for use, asks in use_asks().items():
        for text in asks:
            yield text, _rated(listings, {listing.product_id: _rate_use(use, listing) for listing in listings})


def _rate_use(use: str, listing: Listing) -> int:
    """3 when the listing says so itself, 2 when it would serve as well, 1 for the kind without what the use needs."""
    if use not in listing.kind.uses:
        return 0
    if listing.use == use:
        return 3
    return 2 if all_hold(conditions=listing.kind.uses[use].when, facts=listing.facts) else 1


def _rated(listings: Sequence[Listing], ratings: dict[str, int]) -> dict[str, int]:
    return {listing.product_id: ratings[listing.product_id] for listing in listings if ratings[listing.product_id] > 0}


def _with_zeros(text: str, rated: dict[str, int], listings: Sequence[Listing]) -> dict[str, int]:
    rng = random.Random(f"{SEED}/{text}")
    others = [listing for listing in listings if listing.product_id not in rated]
    shelves = {listing.kind.category for listing in listings if rated.get(listing.product_id) == 3}
    neighbours = [listing for listing in others if listing.kind.category in shelves]
    look_alikes = [listing for listing in others if _shared_words(text, listing) and listing not in neighbours]
    zeros = [
        *rng.sample(neighbours, k=min(len(neighbours), 2 * HARD_ZEROS_BY_WORDS)),
        *rng.sample(look_alikes, k=min(len(look_alikes), HARD_ZEROS_BY_WORDS)),
        *rng.sample(others, k=EASY_ZEROS),
    ]
    return rated | {listing.product_id: 0 for listing in zeros}


def _shared_words(text: str, listing: Listing) -> bool:
    return bool(_pieces(text) & _pieces(listing.product["title"]))


@cache
def _pieces(text: str) -> frozenset[str]:
    """Long words of a Latin text and two-character pieces of a Chinese one, lower-cased."""
    words = {
        word for word in text.lower().replace("-", " ").replace(",", " ").split() if word.isascii() and len(word) > 3
    }
    return frozenset(words).union(_pairs(text))


def _pairs(text: str) -> Iterable[str]:
    pairs = (text[start : start + 2] for start in range(len(text) - 1))
    return (pair for pair in pairs if all("一" <= character <= "鿿" for character in pair))
