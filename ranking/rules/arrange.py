"""The last step of every list: relations, stock, then the operator's rules (pure).

`arrange` takes candidates best first and says which are listed, in which order, and what moved each. Scores stay as they
are. In turn: hidden products go; a replaced product gives way to its successor; of the variants of one product the best
stays; what is out of stock goes behind; pinned products take their ranks. Rules have the last word: what is pinned is
neither replaced nor demoted, and stays instead of its variants. Arranging a list again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ranking.rules.rule import Rule, Shown, rules_matched
from ranking.rules.settings import DEFAULTS, ListSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One thing that made a product stand where it stands, as `explain` shows it.

    `kind` is that of the rule `id` (pin, boost), or "replaces" (it took the place of these products), "variants" (it is
    listed instead of these), "out_of_stock" (it went behind).
    """

    kind: str
    id: str | None = None
    rank: int | None = None
    factor: float | None = None
    product_ids: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields that say something."""
        members = {"id": self.id, "kind": self.kind, "rank": self.rank, "factor": self.factor}
        return {name: value for name, value in members.items() if value is not None} | (
            {"product_ids": list(self.product_ids)} if self.product_ids else {}
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A listed candidate, and what moved it."""

    item: int
    moves: tuple[Move, ...] = ()


@dataclass(slots=True)
class _List:
    """A list while it is arranged: the candidates that are left, best first, and what moved them."""

    items: list[int]
    shown: Mapping[int, Shown]
    pinned: dict[int, int] = field(default_factory=dict)  # candidate -> rank, from 1
    moves: dict[int, list[Move]] = field(default_factory=dict)

    def note(self, item: int, move: Move) -> None:
        self.moves.setdefault(item, []).append(move)

    def names(self, items: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.shown[item].product_id for item in items)


def arrange(
    order: Sequence[int],
    shown: Mapping[int, Shown],
    rules: Sequence[Rule],
    *,
    k: int,
    surface: str,
    key: str | None,
    settings: ListSettings | None = None,
    taken: Collection[str] = (),
    fitting: Collection[int] | None = None,
    by_score: bool = True,
) -> list[Placed]:
    """List at most `k` of the candidates `order`, best first; `shown` has an entry for each.

    `rules` are those of this moment; of them count those for this surface and context `key`. `settings` default to those of
    the surface. `taken` are families that are not listed again: of the products of the page, or in the basket. `fitting`
    are the candidates behind which a product that is out of stock may have to go (None: all): in a search, what answers
    it. A list that is not `by_score` (sorted by price, say) keeps its order: nothing is pinned, nothing goes behind.
    """
    settings = DEFAULTS.of(surface) if settings is None else settings
    asked = [rule for rule in rules if rule.is_asked(surface, key)]
    if not asked and settings.is_idle and not taken:
        return [Placed(item) for item in order[:k]]
    matched = rules_matched({item: shown[item] for item in order}, asked)
    made = _List([item for item in order if not _is_hidden(shown[item], matched.get(item, ()), settings, taken)], shown)
    made.pinned = _pins(made.items, shown, matched, settings) if by_score else {}
    for item in made.items:
        for move in rule_moves(matched.get(item, ()), pins=by_score):
            made.note(item, move)
    if settings.replaced == "successor":
        _replace(made, by_score=by_score)
    if settings.variants == "one":
        _keep_one_of_each_family(made)
    if settings.out_of_stock == "demote" and by_score:
        _demote(made, fitting)
    return [Placed(item, tuple(made.moves.get(item, ()))) for item in _with_pins(made)[:k]]


def rule_moves(matched: Sequence[Rule], *, pins: bool = True) -> list[Move]:
    """What the rules that mean a product do to it, as `explain` shows it: of several pins the one that counts."""
    moves = [Move(kind="boost", id=rule.id, factor=rule.factor) for rule in matched if rule.kind == "boost"]
    pin = _pin_of(matched) if pins else None
    return moves if pin is None else [Move(kind="pin", id=pin.id, rank=pin.rank), *moves]


def _is_hidden(shown: Shown, matched: Sequence[Rule], settings: ListSettings, taken: Collection[str]) -> bool:
    return (
        any(rule.kind == "hide" for rule in matched)
        or (settings.out_of_stock == "hide" and not shown.in_stock)
        or _family(shown) in taken
    )


def _family(shown: Shown) -> str:
    return shown.family or shown.product_id


def _pin_of(matched: Sequence[Rule]) -> Rule | None:
    return next((rule for rule in matched if rule.kind == "pin"), None)


def _pins(
    items: Sequence[int], shown: Mapping[int, Shown], matched: Mapping[int, Sequence[Rule]], settings: ListSettings
) -> dict[int, int]:
    """The rank of each pinned product. Of two for one rank, that whose rule counts less goes to the next free one."""
    pins = [(pin, item) for item in items if (pin := _pin_of(matched.get(item, ()))) is not None]
    ranks: dict[int, int] = {}
    families: set[str] = set()
    for pin, item in sorted(pins, key=lambda each: each[0].precedence, reverse=True):
        if settings.variants == "one" and _family(shown[item]) in families:
            continue
        rank = pin.rank or 1
        while rank in ranks:
            rank += 1
        ranks[rank] = item
        families.add(_family(shown[item]))
    return {item: rank for rank, item in ranks.items()}


def _replace(made: _List, *, by_score: bool) -> None:
    """Let each replaced product give way to its successor, which takes the better place of the two."""
    listed = {made.shown[item].product_id: item for item in made.items}
    at = {item: place for place, item in enumerate(made.items)}
    usable = {item: _usable(made.shown, item, listed) for item in made.items}
    heirs = {item: _heir(item, usable, at) for item in made.items if item not in made.pinned}
    kept: dict[int, list[int]] = {}  # in the order of the list, each with what it took the place of
    for item in made.items:
        heir = heirs.get(item)
        if heir is None or by_score:
            kept.setdefault(item if heir is None else heir, [])
    for item, heir in heirs.items():
        if heir is not None:
            kept[heir].append(item)
    made.items = list(kept)
    for item, replaced in kept.items():
        if replaced:
            made.note(item, Move(kind="replaces", product_ids=made.names(replaced)))


def _usable(shown: Mapping[int, Shown], item: int, listed: Mapping[str, int]) -> list[int]:
    """The successors of a product in the list; one that is sold out replaces none that is in stock."""
    found = [listed[each] for each in shown[item].successors if each in listed and listed[each] != item]
    return [heir for heir in found if shown[heir].in_stock or not shown[item].in_stock]


def _heir(item: int, usable: Mapping[int, Sequence[int]], at: Mapping[int, int]) -> int | None:
    """The best successor that has no successor itself; products that replace each other all stay."""
    last = [heir for heir in usable[item] if not usable[heir]]
    return min(last, key=at.__getitem__, default=None)


def _keep_one_of_each_family(made: _List) -> None:
    """Of the variants of one product keep the pinned one, else the best."""
    families: dict[str, list[int]] = {}
    for item in made.items:
        families.setdefault(_family(made.shown[item]), []).append(item)
    kept = []
    for members in families.values():
        keeper = next((item for item in members if item in made.pinned), members[0])
        kept.append(keeper)
        if len(members) > 1:
            others = made.names([item for item in members if item != keeper])
            made.note(keeper, Move(kind="variants", product_ids=others))
    at = {item: place for place, item in enumerate(made.items)}
    made.items = sorted(kept, key=at.__getitem__)


def _demote(made: _List, fitting: Collection[int] | None) -> None:
    """Put products that are out of stock behind the last one in stock that fits; their order stays."""
    free = [item for item in made.items if item not in made.pinned]
    firm = [place for place, item in enumerate(free) if made.shown[item].in_stock and _fits(item, fitting)]
    end = firm[-1] + 1 if firm else 0
    before = [item for item in free[:end] if made.shown[item].in_stock]
    behind = [item for item in free[:end] if not made.shown[item].in_stock]
    for item in behind:
        made.note(item, Move(kind="out_of_stock"))
    pinned = [item for item in made.items if item in made.pinned]
    made.items = [*before, *behind, *free[end:], *pinned]


def _fits(item: int, fitting: Collection[int] | None) -> bool:
    return fitting is None or item in fitting


def _with_pins(made: _List) -> list[int]:
    """The list with each pinned product at its rank, or at the end where there are not so many."""
    free = iter([item for item in made.items if item not in made.pinned])
    waiting = sorted((made.pinned[item], item) for item in made.items if item in made.pinned)
    listed: list[int] = []
    for rank, item in waiting:
        while len(listed) < rank - 1 and (following := next(free, None)) is not None:
            listed.append(following)
        listed.append(item)
    return [*listed, *free]
