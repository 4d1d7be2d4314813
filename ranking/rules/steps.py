"""The steps of arranging a list, each of which changes it in place; `ranking/rules/arrange.py` says in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ranking.rules.moves import Move, pin_of
from ranking.rules.rule import Rule, Shown
from ranking.rules.settings import ListSettings


@dataclass(slots=True)
class Draft:
    """A list while it is arranged: the candidates that are left, best first, and what moved them."""

    items: list[int]
    shown: Mapping[int, Shown]
    pinned: dict[int, int] = field(default_factory=dict)  # candidate -> rank, from 1
    moves: dict[int, list[Move]] = field(default_factory=dict)

    def note(self, item: int, move: Move) -> None:
        self.moves.setdefault(item, []).append(move)

    def names(self, items: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.shown[item].product_id for item in items)


def family(shown: Shown) -> str:
    """What a product shares with its variants."""
    return shown.family or shown.product_id


def pins_of(
    items: Sequence[int], shown: Mapping[int, Shown], matched: Mapping[int, Sequence[Rule]], settings: ListSettings
) -> dict[int, int]:
    """The rank of each pinned product. Of two for one rank, that whose rule counts less goes to the next free one."""
    pins = [(pin, item) for item in items if item in matched and (pin := pin_of(matched[item]))]
    ranks: dict[int, int] = {}
    families: set[str] = set()
    for pin, item in sorted(pins, key=lambda each: each[0].precedence, reverse=True):
        if settings.variants == "one" and family(shown[item]) in families:
            continue
        rank = pin.rank or 1
        while rank in ranks:
            rank += 1
        ranks[rank] = item
        families.add(family(shown[item]))
    return {item: rank for rank, item in ranks.items()}


def replace_old(made: Draft, *, by_score: bool) -> None:
    """Let each replaced product give way to its successor, which takes the better place of the two."""
    if not any(made.shown[item].successors for item in made.items):
        return
    listed = {made.shown[item].product_id: item for item in made.items}
    at = {item: place for place, item in enumerate(made.items)}
    usable = _in_any_number_of_steps({item: _usable(made.shown, item, listed) for item in made.items})
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


def _in_any_number_of_steps(usable: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    """The same with the successors of successors, never a product itself: else a list without the ones between would be
    arranged otherwise."""
    found: dict[int, list[int]] = {}
    for item, first in usable.items():
        if not first:
            found[item] = []
            continue
        met, waiting = dict.fromkeys(first), list(first)
        while waiting:
            new = [heir for heir in usable[waiting.pop()] if heir not in met]
            met |= dict.fromkeys(new)
            waiting += new
        found[item] = [heir for heir in met if heir != item]
    return found


def _heir(item: int, usable: Mapping[int, Sequence[int]], at: Mapping[int, int]) -> int | None:
    """The best successor that has no successor itself; products that replace each other all stay."""
    last = [heir for heir in usable[item] if not usable[heir]]
    return min(last, key=at.__getitem__, default=None)


def keep_one_of_each_family(made: Draft) -> None:
    """Of the variants of one product keep the pinned one, else the best."""
    families: dict[str, list[int]] = {}
    for item in made.items:
        families.setdefault(family(made.shown[item]), []).append(item)
    if len(families) == len(made.items):
        return
    gone: set[int] = set()
    for members in families.values():
        if len(members) > 1:
            keeper = next((item for item in members if item in made.pinned), members[0])
            others = [item for item in members if item != keeper]
            made.note(keeper, Move(kind="variants", product_ids=made.names(others)))
            gone.update(others)
    made.items = [item for item in made.items if item not in gone]


def demote(made: Draft, fitting: Collection[int] | None) -> None:
    """Put products that are out of stock behind the last one in stock that fits; their order stays."""
    if all(made.shown[item].in_stock for item in made.items):
        return
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


def with_pins(made: Draft) -> list[int]:
    """The list with each pinned product at its rank, or at the end where there are not so many."""
    if not made.pinned:
        return made.items
    free = iter([item for item in made.items if item not in made.pinned])
    waiting = sorted((made.pinned[item], item) for item in made.items if item in made.pinned)
    listed: list[int] = []
    for rank, item in waiting:
        while len(listed) < rank - 1 and (following := next(free, None)) is not None:
            listed.append(following)
        listed.append(item)
    return [*listed, *free]
