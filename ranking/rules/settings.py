"""What a shop asks of its lists besides rules: products out of stock, variants, products that were replaced (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

OutOfStock: TypeAlias = Literal["keep", "demote", "hide"]
Variants: TypeAlias = Literal["all", "one"]
Replaced: TypeAlias = Literal["keep", "successor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSettings:
    """How the lists of some surfaces are arranged; the defaults change nothing."""

    out_of_stock: OutOfStock = "keep"
    variants: Variants = "all"
    replaced: Replaced = "keep"

    @property
    def is_idle(self) -> bool:
        return self == IDLE


IDLE = ListSettings()

SEARCH = IDLE
"""Who searches names what is wanted: a title that is sold out, one colour, the older model. To hide it behind a sibling
that more people like would look like a search that does not find; so a search lists what its score says until the shop asks
for less."""

RECOMMENDATIONS = ListSettings(out_of_stock="demote", variants="one", replaced="successor")
"""Nobody asked for any one product here, so each place goes to something that can be bought and is not there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """The settings of a shop: for searches, and for recommendations on every surface."""

    search: ListSettings = SEARCH
    recommendations: ListSettings = RECOMMENDATIONS

    def of(self, surface: str) -> ListSettings:
        return self.search if surface == "search" else self.recommendations


DEFAULTS = Arrangement()
