"""Visits in memory: the arithmetic of the projection, for walking a past stretch of the log (pure).

What strategies say at a past moment is in no table any more: sums went on decaying, lists were cut. A walk makes it again.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.visits.asked import OWNED, Asked, Floats, Ints, Pool
from ranking.visits.companions import PAIR, SUMS, Companions, Pairs, companions_add, pairs_of, scale
from ranking.visits.options import VISITS, VisitOptions, pull
from ranking.visits.owned import Owned
from ranking.visits.popularity import HALF_LIVES
from ranking.visits.steps import NO_STEPS, Steps, steps_add, steps_of
from ranking.weights.decay import decay
from ranking.weights.options import VALUES

NO_COMPANIONS = companions_add({}, np.array([(1, 2, 0.0, 0.0)], dtype=PAIR))[1][:0]


MOST_WAITING = 256  # pairs of a product: beyond, its list takes them in, whoever asks


@dataclass(slots=True)
class Shelf:
    """Pairs of a product that are in its list, and those that wait for it to be asked for, by their parts."""

    companions: Companions = field(default_factory=lambda: NO_COMPANIONS)
    totals: Floats = field(default_factory=lambda: np.zeros(2))  # by SUMS
    ids: array[int] = field(default_factory=lambda: array("q"))
    sums: tuple[array[float], ...] = field(default_factory=lambda: (array("d"), array("d")))

    def settle(self, options: VisitOptions) -> None:
        """Take in what waits, in its order."""
        if not self.ids:
            return
        waiting = np.zeros(len(self.ids), dtype=PAIR)
        waiting["id"] = self.ids
        for name, values in zip(SUMS, self.sums, strict=True):
            waiting[name] = values
        self.companions = companions_add({0: self.companions}, waiting, options)[0]
        self.totals = self.totals + [waiting[name].sum() for name in SUMS]
        self.ids, self.sums = array("q"), (array("d"), array("d"))


class Memory:
    """N products, by row; as visited products they have the numbers 1 to N. `arrived_at` (N,) in seconds."""

    def __init__(
        self, arrived_at: Floats, *, options: VisitOptions = VISITS, values: Mapping[str, float] = VALUES
    ) -> None:
        count = len(arrived_at)
        self.arrived_at = arrived_at
        self.options = options
        self.values = values
        self.sums = np.zeros((len(HALF_LIVES), count))
        self.at = np.full(count, -np.inf)
        self.first_at = np.full(count, np.inf)
        self.shop = np.zeros(len(HALF_LIVES))
        self.shop_at = -np.inf
        self.steps: dict[Any, Steps] = {}
        self.owned: dict[Any, dict[int, Owned]] = defaultdict(dict)
        self.shelves: dict[int, Shelf] = defaultdict(Shelf)
        self._half_lives = np.array(list(HALF_LIVES.values()))
        self._count = 0

    def add(self, who: Any, row: int, kind: str, at: float) -> None:
        """Let somebody (None: nobody known) visit a product."""
        self._count += 1
        weight = pull(kind, self.values)
        self._popular(row, weight, at)
        if who is None:
            return
        self.owned[who].setdefault(row + 1, Owned()).add(kind, at, weight)
        if weight == 0.0:
            return
        before = self.steps.get(who, NO_STEPS)
        self._note(pairs_of(before, row + 1, at, weight, self.options))
        self.steps[who] = steps_add(before, steps_of([(row + 1, at, weight, self._count)]), self.options.steps)

    def _popular(self, row: int, weight: float, at: float) -> None:
        newest, newest_of_shop = max(self.at[row], at), max(self.shop_at, at)
        self.sums[:, row] = self.sums[:, row] * self._left(newest - self.at[row]) + weight * self._left(newest - at)
        self.shop = self.shop * self._left(newest_of_shop - self.shop_at) + weight * self._left(newest_of_shop - at)
        self.at[row], self.first_at[row], self.shop_at = newest, min(self.first_at[row], at), newest_of_shop

    def _left(self, age: float) -> Floats:
        return np.exp2(-age / self._half_lives)

    def _note(self, pairs: Pairs) -> None:
        for of, other, lasting, recent in pairs.tolist():
            shelf = self.shelves[of]
            shelf.ids.append(other)
            shelf.sums[0].append(lasting)
            shelf.sums[1].append(recent)
            if len(shelf.ids) > MOST_WAITING:
                shelf.settle(self.options)

    def _shelf(self, number: int) -> Shelf:
        """The list of a product with what waited for it."""
        shelf = self.shelves.get(number)
        if shelf is None:
            return Shelf()
        shelf.settle(self.options)
        return shelf

    def asked(self, who: Any, *, now: float, most: int) -> Asked:
        """What a home page of somebody would be asked from at this moment."""
        newest = self.steps.get(who, NO_STEPS)[::-1]
        _, first = np.unique(newest["id"], return_index=True)
        kept = newest[np.sort(first)][:most]
        shelves = [self._shelf(number) for number in kept["id"].tolist()]
        return Asked(
            now=now,
            ids=kept["id"].astype(np.int64),
            at=kept["at"].astype(np.float64),
            pull=kept["pull"].astype(np.float64),
            companions=[shelf.companions for shelf in shelves],
            totals=np.array([shelf.totals[0] for shelf in shelves]) / scale(now, "sum", self.options),
            recent_totals=np.array([shelf.totals[1] for shelf in shelves]) / scale(now, "recent", self.options),
            owned=self._owned(who, now),
        )

    def _owned(self, who: Any, now: float) -> NDArray[Any]:
        had = self.owned.get(who, {})
        owned = np.array(
            [
                (number, each.purchases, each.reward, each.first_at, each.at,
                 np.nan if each.bought_at is None else each.bought_at,
                 np.nan if each.dismissed_at is None else each.dismissed_at)
                for number, each in had.items()
            ],
            dtype=OWNED,
        )  # fmt: skip
        owned["reward"] *= decay(now - owned["at"], self.options.owned_half_life_seconds)
        return owned

    def popularity(self, now: float) -> Floats:
        """Visits of each product by HALF_LIVES as of now, (4, N)."""
        age = np.where(np.isfinite(self.at), now - self.at, 0.0)
        found: Floats = self.sums * np.exp2(-age / self._half_lives[:, None])
        return found

    def pool(self, rows: Ints, *, now: float, dense: Floats, popularity: Floats) -> Pool:
        """These products as candidates; `dense` (N,) and `popularity` (4, N) are of all products."""
        day, week, month, year = (self.shop * self._left(now - self.shop_at)).tolist() if self._count else [0.0] * 4
        return Pool(
            numbers=rows + 1,
            dense=dense[rows],
            day=popularity[0, rows],
            week=popularity[1, rows],
            month=popularity[2, rows],
            year=popularity[3, rows],
            age=now - np.minimum(self.arrived_at, self.first_at)[rows],
            nearest=np.zeros(len(rows)),
            around=np.zeros(len(rows)),
            accessory=np.zeros(len(rows)),  # relations are not remembered: what they count stays as it ships
            shop=(day, week, month, year),
        )
