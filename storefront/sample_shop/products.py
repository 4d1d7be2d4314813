"""The products of the sample shop, in the format of `POST /v1/products`."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import count
from typing import Any

from storefront.sample_shop.decks import Decks
from storefront.sample_shop.vocabulary import Facts, Kind, Language, Wording, kinds
from storefront.sample_shop.writing import Draft, title_and_description

SEED = 20261
ENGLISH_PER_KIND = 6
CHINESE_PER_KIND = 2
OUT_OF_STOCK_SHARE = 0.08
FIRST_RELEASE, LAST_RELEASE = date(2023, 1, 9), date(2026, 10, 31)
# An option that changes what is in the box changes the price too; a colour does not.
DEARER_OPTIONS = {"pack": 1.9, "size": 1.3, "format": 1.7, "frame": 1.6}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A product together with the structure it was composed from, which judgements are derived from."""

    product: dict[str, Any]
    kind: Kind
    facts: Facts
    use: str | None

    @property
    def product_id(self) -> str:
        """The product's external id."""
        return str(self.product["product_id"])


def sample_products() -> list[dict[str, Any]]:
    """Return every product of the sample shop, the same list on every call and every machine."""
    return [dict(listing.product) for listing in sample_listings()]


@cache
def sample_listings() -> tuple[Listing, ...]:
    """Return every product with its structure."""
    listings = [listing for kind in kinds().values() for listing in _listings_of(kind)]
    return tuple(_with_accessory_relations(listings))


def _listings_of(kind: Kind) -> list[Listing]:
    # Seeded by the kind alone, so that an edit of one kind leaves the products of the others as they are.
    rng = random.Random(f"{SEED}/{kind.key}")
    decks = Decks(kind=kind, rng=rng)
    serial = count(1)
    listings = [
        _compose(draft=decks.draft(language=language), rng=rng, product_id=_product_id(kind, next(serial)))
        for language, wanted in _counts()
        for _ in range(wanted)
    ]
    if kind.option is not None:
        listings.append(_variant(base=listings[0], product_id=_product_id(kind, next(serial))))
    return listings


def _counts() -> list[tuple[Language, int]]:
    return [("en", ENGLISH_PER_KIND), ("zh", CHINESE_PER_KIND)]


def _product_id(kind: Kind, serial: int) -> str:
    return f"{kind.key.replace('_', '-')}-{serial:02d}"


def _compose(*, draft: Draft, rng: random.Random, product_id: str) -> Listing:
    title, description = title_and_description(draft=draft, rng=rng)
    product = {
        "product_id": product_id,
        "title": title,
        "description": description,
        "language": draft.language,
        "brand": draft.brand,
        "category": list(draft.kind.category),
        "price": _price(kind=draft.kind, rng=rng),
        "currency": "EUR",
        "in_stock": rng.random() >= OUT_OF_STOCK_SHARE,
        "attributes": _attributes(draft),
        "released_at": _release_date(rng).isoformat(),
        "relations": [],
    }
    return Listing(product=product, kind=draft.kind, facts=draft.facts, use=draft.use)


def _attributes(draft: Draft) -> dict[str, Any]:
    attributes: dict[str, Any] = {trait: _plain(value) for trait, value in draft.facts.items()}
    if draft.kind.option is not None and draft.option is not None:
        attributes[draft.kind.option[0]] = draft.option.say(draft.language)
    return attributes | draft.numbers


def _plain(value: str) -> str | bool:
    return value == "yes" if value in {"yes", "no"} else value.replace("_", " ")


def _price(*, kind: Kind, rng: random.Random) -> float:
    low, high = kind.price
    return int(low + (high - low) * rng.betavariate(1.5, 2.5)) + rng.choice((0.0, 0.5, 0.9, 0.95, 0.99))


def _release_date(rng: random.Random) -> date:
    return FIRST_RELEASE + timedelta(days=rng.randrange((LAST_RELEASE - FIRST_RELEASE).days))


def _variant(*, base: Listing, product_id: str) -> Listing:
    """The same product in its next colour, pack or format."""
    assert base.kind.option is not None
    attribute, choices = base.kind.option
    chosen = base.product["attributes"][attribute]
    other = _next_choice(choices, chosen)
    product = base.product | {
        "product_id": product_id,
        "title": base.product["title"].removesuffix(chosen) + other.en,
        "price": int(base.product["price"] * _dearer(attribute, choices, chosen, other)) + 0.99,
        "in_stock": True,
        "attributes": base.product["attributes"] | {attribute: other.en},
        "relations": [{"kind": "variant_of", "product_id": base.product_id}],
    }
    return Listing(product=product, kind=base.kind, facts=base.facts, use=base.use)


def _next_choice(choices: Sequence[Wording], chosen: str) -> Wording:
    place = [choice.en for choice in choices].index(chosen)
    return choices[(place + 1) % len(choices)]


def _dearer(attribute: str, choices: Sequence[Wording], chosen: str, other: Wording) -> float:
    factor = DEARER_OPTIONS.get(attribute, 1.0)
    return factor if choices.index(other) > [choice.en for choice in choices].index(chosen) else 1 / factor


def _with_accessory_relations(listings: Sequence[Listing]) -> Iterator[Listing]:
    by_kind: dict[str, list[Listing]] = {}
    for listing in listings:
        by_kind.setdefault(listing.kind.key, []).append(listing)
    for listing in listings:
        rng = random.Random(f"{SEED}/{listing.product_id}")
        targets = [target for key in listing.kind.accessory_of for target in rng.sample(by_kind[key], k=2)]
        relations = [{"kind": "accessory_of", "product_id": target.product_id} for target in targets]
        listing.product["relations"] = [*listing.product["relations"], *relations]
        yield listing
