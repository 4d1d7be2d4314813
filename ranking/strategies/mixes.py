"""The arms: mixes of strategies by surface. The first of a surface is what is shown while nothing was learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from ranking.strategies.mixing import Mix

Surface: TypeAlias = Literal["home", "product", "basket"]
SURFACES: tuple[Surface, ...] = get_args(Surface)

# near to what was fitted to two logs at once, a gift shop that is bought from again and a shop of toys
_HOME = Mix(
    name="blend",
    coefficients={"popular": 0.2, "bestsellers": 0.3, "evergreen": 0.15, "similar": 2.5, "nearest": 1.9, "together": 0.15,
                  "strongest": 1.0, "next_for_you": 0.05, "buy_again": 1.0, "regular": 3.2, "recently_viewed": 0.3,
                  "new_arrivals": 0.5, "trending_known": 0.3, "evergreen_known": -0.2, "similar_known": -2.5,
                  "nearest_known": -0.5, "together_known": -0.25, "strongest_known": -1.4, "next_for_you_known": 0.3,
                  "buy_again_known": 0.35, "regular_known": -3.2, "new_arrivals_known": 0.9, "established_known": -0.15},
    intercept=-6.0,
)  # fmt: skip
# of a page: what one shopper alone took besides says less than meaning does, what many took says more
_ITEMS = Mix(
    name="blend",
    coefficients={
        "popular": 0.2,
        "similar": 5.0,
        "together": 0.3,
        "strongest": 2.0,
        "new_arrivals": 0.1,
        "accessories": 1.5,
    },
    intercept=-6.0,
)

MIXES: Mapping[Surface, tuple[Mix, ...]] = {
    "home": (
        _HOME,
        Mix(name="popular", coefficients={"popular": 1.0, "trending": 0.5}, intercept=-6.0),
        Mix(name="personal", coefficients={"next_for_you": 1.0, "similar": 2.0, "buy_again": 0.5}, intercept=-6.0),
        Mix(name="fresh", coefficients={"new_arrivals": 3.0, "trending": 1.0, "similar": 2.0}, intercept=-6.0),
    ),
    "product": (
        _ITEMS,
        Mix(name="similar", coefficients={"similar": 6.0, "popular": 0.1}, intercept=-6.0),
        Mix(name="together", coefficients={"together": 1.0, "popular": 0.1}, intercept=-6.0),
    ),
    "basket": (
        _ITEMS,
        Mix(name="together", coefficients={"together": 1.0, "popular": 0.1}, intercept=-6.0),
        Mix(name="popular", coefficients={"popular": 1.0, "trending": 0.5}, intercept=-6.0),
    ),
}


def mix_named(surface: Surface, name: str) -> Mix:
    """A mix of a surface by its name. Raises KeyError."""
    return {mix.name: mix for mix in MIXES[surface]}[name]
