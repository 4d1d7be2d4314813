"""Places for newcomers: what nobody visited yet has no evidence of its own, and gets none unless it is shown (pure)."""

from __future__ import annotations

from collections.abc import Sequence

FIRST_PAGE = 10  # places that are given by score alone
EVERY = 8  # of the places below, each so many-th is a newcomer's


def with_newcomers(order: Sequence[int], unvisited: Sequence[bool], most: int | None = None) -> list[int]:
    """The first `most` candidates (None: all), best first, with the best newcomers moved up to their places.

    `unvisited` says of each candidate, by index, whether nobody ever visited it. No newcomer moves down by it but others.
    """
    count = len(order) if most is None else min(most, len(order))
    newcomers = [i for i in order[FIRST_PAGE:] if unvisited[i]]
    if not newcomers:
        return list(order[:count])
    placed = list(order[:FIRST_PAGE])
    rest = list(order[FIRST_PAGE:])
    given: set[int] = set()
    waiting = iter(rest)
    fresh = iter(newcomers)
    while len(placed) < count:
        due = (len(placed) + 1 - FIRST_PAGE) % EVERY == 0
        chosen = next((i for i in fresh if i not in given), None) if due else None
        if chosen is None:
            chosen = next(i for i in waiting if i not in given)
        given.add(chosen)
        placed.append(chosen)
    return placed
