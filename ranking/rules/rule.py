"""A rule of the operator's, what of a product it looks at, and which rules meet which products (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
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
    if not index.by_product and not index.by_brand and not index.by_category:
        return {}
    found = ((i, _of(product, index)) for i, product in shown.items())
    return {i: meant for i, meant in found if meant}


def boost_of(matched: Sequence[Rule]) -> float:
    """What the boosts among these rules make of the operator's factor r: their product."""
    factor = 1.0
    for rule in matched:
        if rule.kind == "boost" and rule.factor is not None:
            factor *= rule.factor
    return factor


@dataclass(frozen=True, slots=True)
class _Index:
    """Each rule once, by the narrowest thing that it names, so that a product looks at few of many rules."""

    by_product: dict[str | None, list[Rule]] = field(default_factory=dict)
    by_brand: dict[str | None, list[Rule]] = field(default_factory=dict)
    by_category: dict[tuple[str, ...], list[Rule]] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        if rule.product_id is not None:
            self.by_product.setdefault(rule.product_id, []).append(rule)
        elif rule.brand is not None:
            self.by_brand.setdefault(rule.brand, []).append(rule)
        else:
            self.by_category.setdefault(rule.category, []).append(rule)


def _index(rules: Iterable[Rule]) -> _Index:
    index = _Index()
    for rule in rules:
        index.add(rule)
    return index


def _of(shown: Shown, index: _Index) -> list[Rule]:
    found = [*index.by_product.get(shown.product_id, ()), *index.by_brand.get(shown.brand, ())]
    if index.by_category:
        for depth in range(len(shown.category) + 1):
            found += index.by_category.get(shown.category[:depth], ())
    if not found:
        return found
    return sorted((rule for rule in found if rule.fits(shown)), key=_precedence, reverse=True)


_precedence = attrgetter("precedence")
