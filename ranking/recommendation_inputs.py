"""The query string of a recommendation, checked: a bad value gets an error that names the field and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.http import QueryDict

from ranking.filters import filters_parse
from ranking.inputs import MOST_ITEMS, BadParameter, check_names, integer, switch
from ranking.recommending import RecommendRequest
from ranking.strategies.mixes import SURFACES, Surface

MOST_PRODUCTS = 100  # of a basket
LONGEST_ID = 200
_FIELDS = frozenset({"surface", "shopper_id", "shopper_signature", "product_id", "k", "filter", "explain"})


def recommendation_read(params: QueryDict, *, shop_id: int, now: datetime) -> RecommendRequest:
    """Read the query string of a recommendation. Raises BadParameter, UnknownParameter and BadFilter."""
    check_names(params, _FIELDS)
    surface = _surface(params.get("surface"))
    filters = params.getlist("filter")
    return RecommendRequest(
        shop_id=shop_id,
        surface=surface,
        product_ids=_products(params.getlist("product_id"), surface),
        k=integer(params, "k", default=20, least=1, most=MOST_ITEMS),
        filters=filters_parse(filters),
        filter_texts=filters,
        explain=switch(params.get("explain", "0"), "explain"),
        now=now.timestamp(),
    )


def _surface(text: str | None) -> Surface:
    for surface in SURFACES:
        if text == surface:
            return surface
    given = "it is missing" if text is None else f"not {text[:50]!r}"
    raise BadParameter(f"surface is one of {', '.join(SURFACES)}; {given}.", field="surface")


def _products(given: Sequence[str], surface: Surface) -> Sequence[str]:
    """The products of the page or of the basket, each once; a home page has none."""
    products = list(dict.fromkeys(given))
    if surface == "home" and products:
        raise BadParameter(
            "A home page has no product: leave product_id out, or ask for surface=product.", field="product_id"
        )
    if surface == "product" and len(products) != 1:
        raise BadParameter(f"surface=product takes one product_id, not {len(products)}.", field="product_id")
    if surface == "basket" and not 1 <= len(products) <= MOST_PRODUCTS:
        raise BadParameter(
            f"surface=basket takes 1 to {MOST_PRODUCTS} product_id, one for each product in it; not {len(products)}.",
            field="product_id",
        )
    for product in products:
        if not product or len(product) > LONGEST_ID or "\0" in product:
            raise BadParameter(f"product_id has 1 to {LONGEST_ID} characters, none of them NUL.", field="product_id")
    return products
