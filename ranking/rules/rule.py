"""A rule of the operator's, what of a product it looks at, and which rules meet which products (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

RuleKind: TypeAlias = Literal["pin", "boost", "hide"]
Surface: TypeAlias = Literal["search", "home", "product", "basket"]
KINDS: tuple[RuleKind, ...] = get_args(RuleKind)
SURFACES: tuple[Surface, ...] = get_args(Surface)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What rules and relations look at of a product.

    `family` is what it shares with its variants; its own id where it has none. `successors` are the live products that
    replace it, also by way of others. `version` is the description version that brand and category are of.
    """

    product_id: str
    brand: str | None = None
    category: tuple[str, ...] = ()
    in_stock: bool = True
    family: str = ""
    successors: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule in force: what it does (pin to `rank`, boost by `factor`, hide), to which products, where and when.

    All that it names must fit. `position` is that of its event: of two that contradict each other the newer counts, one for
    this query before one for every query. Times in seconds since 1970, from `starts_at` on and before `ends_at`.
    """

    id: str
    kind: RuleKind
    position: int = 0
    rank: int | None = None
    factor: float | None = None
    product_id: str | None = None
    brand: str | None = None
    category: tuple[str, ...] = ()
    key: str | None = None
    surfaces: tuple[str, ...] = ()
    starts_at: float | None = None
    ends_at: float | None = None

    def is_asked(self, surface: str, key: str | None) -> bool:
        """Whether it counts on this surface and for this context; a query is asked of search only."""
        if self.key is not None and (surface != "search" or key != self.key):
            return False
        return not self.surfaces or surface in self.surfaces

    def is_due(self, now: float) -> bool:
        """Whether its dates allow it now."""
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)

    def fits(self, shown: Shown) -> bool:
        """Whether it means this product; a category means all that lies below it in the tree too."""
        return (
            self.product_id in (None, shown.product_id)
            and self.brand in (None, shown.brand)
            and shown.category[: len(self.category)] == self.category
        )

    @property
    def precedence(self) -> tuple[bool, int, str]:
        """The larger, the more it counts where two contradict each other."""
        return self.key is not None, self.position, self.id


def rules_matched(shown: Mapping[int, Shown], rules: Iterable[Rule]) -> dict[int, list[Rule]]:
    """The rules that mean each product, those that count more first; only products that a rule means have an entry."""
    index = _index(rules)
    found = {i: _of(product, index) for i, product in shown.items()} if index else {}
    return {i: meant for i, meant in found.items() if meant}


def boost_of(matched: Sequence[Rule]) -> float:
    """What the boosts among these rules make of the operator's factor r: their product."""
    factor = 1.0
    for rule in matched:
        if rule.kind == "boost" and rule.factor is not None:
            factor *= rule.factor
    return factor


_Place: TypeAlias = tuple[str, object]


def _index(rules: Iterable[Rule]) -> dict[_Place, list[Rule]]:
    """Each rule once, by the narrowest thing that it names, so that a product looks at few of many rules."""
    index: dict[_Place, list[Rule]] = {}
    for rule in sorted(rules, key=lambda rule: rule.precedence, reverse=True):
        index.setdefault(_place(rule), []).append(rule)
    return index


def _place(rule: Rule) -> _Place:
    if rule.product_id is not None:
        return "product", rule.product_id
    return ("brand", rule.brand) if rule.brand is not None else ("category", rule.category)


def _of(shown: Shown, index: Mapping[_Place, Sequence[Rule]]) -> list[Rule]:
    places: list[_Place] = [("product", shown.product_id), ("brand", shown.brand)]
    places += [("category", shown.category[:depth]) for depth in range(len(shown.category) + 1)]
    found = [rule for place in places for rule in index.get(place, ()) if rule.fits(shown)]
    return sorted(found, key=lambda rule: rule.precedence, reverse=True) if len(found) > 1 else found
