"""Places for newcomers: what nobody visited yet has no evidence of its own, and gets none unless it is shown (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

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
    places = range(FIRST_PAGE + EVERY - 1, count, EVERY)
    placed = list(order[:FIRST_PAGE])
    given: set[int] = set()
    waiting, fresh = iter(order[FIRST_PAGE:]), iter(newcomers)
    for place in range(len(placed), count):
        chosen = _next(fresh, given) if place in places else None
        if chosen is None:
            chosen = _next(waiting, given)
        if chosen is not None:
            given.add(chosen)
            placed.append(chosen)
    return placed


def _next(candidates: Iterator[int], given: Collection[int]) -> int | None:
    for i in candidates:
        if i not in given:
            return i
    return None
