"""What is asked of a recommender, when, and what would have been right: protocols P1 and P2 (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.recommend_log import DAY, Ints, Log

T = TypeVar("T")
POPULAR_HALF_LIFE = 7 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a shopper took from `at` on, by row, told what happened strictly earlier."""

    shopper: int
    at: int
    wanted: tuple[int, ...]
    new: bool = True  # none of it was the shopper's already
    known: bool = True  # the shopper has a history


Rank: TypeAlias = Callable[[Question, bool], Ints]
"""(question, again) -> rows of items, best first, at least 50; without `again` not what the shopper has."""


def p1_questions(log: Log, *, start: int, end: float = np.inf, repeats: bool = False) -> list[Question]:
    """For each shopper with events on both sides of `start`: what she took until `end`; unless `repeats` only new to her."""
    first, last = log.first_from(start), int(np.searchsorted(log.at, end, side="left"))
    had = set(zip(log.shopper[:first].tolist(), log.item[:first].tolist(), strict=True))
    seen = set(log.shopper[:first].tolist())
    wanted: dict[int, set[int]] = {}
    for pair in zip(log.shopper[first:last].tolist(), log.item[first:last].tolist(), strict=True):
        if pair[0] in seen and (repeats or pair not in had):
            wanted.setdefault(pair[0], set()).add(pair[1])
    return [
        Question(shopper=shopper, at=start, wanted=tuple(sorted(wanted[shopper])), new=not repeats)
        for shopper in sorted(wanted)
    ]


def p2_questions(log: Log, *, start: int, end: float = np.inf, sample: int, seed: int) -> list[Question]:
    """Sampled events from `start` until `end`, each alone, in the order of their time."""
    first, last = log.first_from(start), int(np.searchsorted(log.at, end, side="left"))
    asked = first + sampled(last - first, sample, seed)
    new, known = _new(log), _known(log)
    return [
        Question(
            shopper=int(log.shopper[n]),
            at=int(log.at[n]),
            wanted=(int(log.item[n]),),
            new=bool(new[n]),
            known=bool(known[n]),
        )
        for n in asked.tolist()
    ]


def sampled(count: int, most: int, seed: int) -> Ints:
    """Numbers below `count`, at most so many, in order."""
    return np.sort(np.random.default_rng(seed).choice(count, min(most, count), replace=False)).astype(np.int64)


def some(every: Sequence[T], most: int, seed: int) -> list[T]:
    """At most so many of them, in their order."""
    return [every[n] for n in sampled(len(every), most, seed)]


def _new(log: Log) -> NDArray[np.bool_]:
    """Whether it is the first time that the shopper took the item, (n,)."""
    pairs = log.shopper * len(log.item_ids) + log.item
    first = np.zeros(len(log), dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    return first


def _known(log: Log) -> NDArray[np.bool_]:
    """Whether the shopper took anything strictly earlier, (n,)."""
    _, first, back = np.unique(log.shopper, return_index=True, return_inverse=True)
    return log.at > log.at[first][back]


def cold_items(log: Log, *, start: int) -> frozenset[int]:
    """Items that nobody took before."""
    return frozenset(range(len(log.item_ids))) - frozenset(log.item[: log.first_from(start)].tolist())


@dataclass(slots=True)
class Past:
    """What happened strictly before a moment that only moves on."""

    log: Log
    end: int = 0  # events before this number are known
    events: dict[int, list[int]] = field(default_factory=dict)  # of each shopper, oldest first
    _popular: NDArray[np.float64] = field(init=False, repr=False)  # (N,), decayed to `_popular_at`
    _popular_at: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self._popular = np.zeros(len(self.log.item_ids))

    def move(self, moment: int) -> Iterator[int]:
        """Learn what happened before the moment, and give the number of each event just before it is learnt."""
        for n in range(self.end, self.log.first_from(moment)):
            yield n
            self.events.setdefault(int(self.log.shopper[n]), []).append(n)
            if self.log.at[n] != self._popular_at:
                self._popular, self._popular_at = self.popular(int(self.log.at[n])), int(self.log.at[n])
            self._popular[self.log.item[n]] += 1.0
            self.end = n + 1

    def of(self, shopper: int) -> Ints:
        """Numbers of a shopper's events, oldest first."""
        return np.array(self.events.get(shopper, ()), dtype=np.int64)

    def newest_items(self, shopper: int, most: int) -> tuple[Ints, Ints]:
        """A shopper's newest items, each once, newest first, and the times."""
        numbers = self.of(shopper)[::-1]
        _, first = np.unique(self.log.item[numbers], return_index=True)
        kept = numbers[np.sort(first)][:most]
        return self.log.item[kept], self.log.at[kept]

    def popular(self, moment: int) -> NDArray[np.float64]:
        """How often each item was taken, with a half-life of seven days, (N,)."""
        return np.asarray(self._popular * np.exp2(-(moment - self._popular_at) / POPULAR_HALF_LIFE))
