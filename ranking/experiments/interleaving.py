"""Team-draft interleaving: two rankings of one context in one list, and whose clicks are whose (pure).

Radlinski, Kurup, Joachims: How Does Clickthrough Data Reflect Retrieval Quality?, CIKM 2008, algorithm 2.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
FIRST, SECOND = "A", "B"
NOBODY, LEFT_OF_SECOND = "=", "-"  # a click there counts for none; the second is what only the second ranking had left


@dataclass(frozen=True, slots=True)
class Drafted(Generic[Item]):
    """The merged list, and a letter for each of its ranks: A, B, or = and - where a click says nothing."""

    items: list[Item]
    teams: str


def team_draft(first: Sequence[Item], second: Sequence[Item], *, k: int, seed: int) -> Drafted[Item]:
    """Let two rankings pick in turn what each has best and the list has not, as captains pick teams, up to k.

    Who has picked less picks next; a coin decides between equals. So either ranking has the same chance at each rank, and
    who clicks without regard to quality favours none. Two kinds of rank are nobody's, which keeps it so: the beginning
    that both rankings share, where a click cannot tell them apart, and what is left when one of them has ended.
    """
    coin, lists = random.Random(seed), (first, second)
    picked, next_of = [0, 0], [0, 0]
    items: list[Item] = []
    teams: list[str] = []
    taken: set[Item] = set()
    while len(items) < k:
        for side in (0, 1):
            next_of[side] = _next(lists[side], next_of[side], taken)
        left = [side for side in (0, 1) if next_of[side] < len(lists[side])]
        if not left:
            break
        turn = left[0] if len(left) == 1 else _turn(picked, coin)
        item = lists[turn][next_of[turn]]
        items.append(item)
        taken.add(item)
        teams.append((FIRST, SECOND)[turn] if len(left) == 2 else (NOBODY, LEFT_OF_SECOND)[turn])
        picked[turn] += 1
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))))
    return Drafted(items, NOBODY * min(shared, len(items)) + "".join(teams[shared:]))


def _turn(picked: Sequence[int], coin: random.Random) -> int:
    return coin.getrandbits(1) if picked[0] == picked[1] else int(picked[0] > picked[1])


def _next(ranking: Sequence[Item], at: int, taken: set[Item]) -> int:
    while at < len(ranking) and ranking[at] in taken:
        at += 1
    return at


def team_of(teams: str, rank: int | None) -> str:
    """Whose a rank is, counted from 1; nobody's beyond the list or where the rank is not known."""
    return teams[rank - 1] if rank is not None and 0 < rank <= len(teams) else NOBODY


def credit(teams: str, clicked: Iterable[int]) -> int:
    """The outcome of a list by its clicked ranks: 1 the second ranking won, -1 the first, 0 a draw."""
    letters = [team_of(teams, rank) for rank in clicked]
    more = letters.count(SECOND) - letters.count(FIRST)
    return (more > 0) - (more < 0)
