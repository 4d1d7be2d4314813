"""Letting subjects take steps: their newest ones afterwards, and the pairs on the way, many at once (pure).

It comes out as if each interaction had been taken in alone, by `pairs_of` and `steps_add`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ranking.visits.companions import PAIR, Pairs, pairs_between, pairs_of
from ranking.visits.options import VISITS, VisitOptions
from ranking.visits.steps import NO_STEPS, Steps, steps_add

Who = TypeVar("Who")
Ints: TypeAlias = NDArray[np.int64]


def steps_walk(
    whose: Sequence[Who], new: Steps, before: Mapping[Who, Steps], options: VisitOptions = VISITS
) -> tuple[dict[Who, Steps], Pairs, Ints]:
    """Take `new` steps (E,), each of one of `whose` (E,), in their order, from the newest steps `before`.

    Returns everybody's newest steps, the pairs in the order of the log, and the number of the step that made each.
    """
    numbers: dict[Who, list[int]] = {}
    for n, who in enumerate(whose):
        numbers.setdefault(who, []).append(n)
    stretches: dict[Who, Steps] = {}
    odd: list[Who] = []  # of these it depends on the time of each which are the newest before it
    for who, own in numbers.items():
        stretch = np.concatenate([before.get(who, NO_STEPS), new[own]])
        if len(stretch) <= options.steps or (np.diff(stretch["at"]) >= 0).all():
            stretches[who] = stretch
        else:
            odd.append(who)
    pairs, made_by = _at_once(list(stretches.values()), [numbers[who] for who in stretches], options)
    after = {who: steps_add(stretch, NO_STEPS, options.steps) for who, stretch in stretches.items()}
    for who in odd:
        after[who], more, by = _one_by_one(before.get(who, NO_STEPS), new, numbers[who], options)
        pairs, made_by = np.concatenate([pairs, more]), np.concatenate([made_by, by])
    order = np.argsort(made_by, kind="stable")
    return after, pairs[order], made_by[order]


def _at_once(stretches: Sequence[Steps], numbers: Sequence[Sequence[int]], options: VisitOptions) -> tuple[Any, Ints]:
    """Pairs of the last steps of each stretch, new ones by these numbers, with the steps before them."""
    if not stretches:
        return np.zeros(0, dtype=PAIR), np.zeros(0, dtype=np.int64)
    every = np.concatenate(stretches)
    ends = np.cumsum([len(stretch) for stretch in stretches])
    at = np.concatenate([end - len(own) + np.arange(len(own)) for end, own in zip(ends, numbers, strict=True)])
    starts = np.repeat(ends - [len(stretch) for stretch in stretches], [len(own) for own in numbers])
    counts = np.minimum(at - starts, options.steps)  # steps before each new one that it is paired with
    later = np.repeat(at, counts)
    within = np.arange(len(later)) - np.repeat(np.cumsum(counts) - counts, counts)
    earlier = later - np.repeat(counts, counts) + within
    made_by = np.repeat(np.concatenate(numbers), counts)
    order = np.lexsort(
        (every["position"][earlier], every["at"][earlier], made_by)
    )  # of one step in the order of their time
    order = order[every["id"][earlier[order]] != every["id"][later[order]]]
    return pairs_between(every[earlier[order]], every[later[order]], options), np.repeat(made_by[order], 2)


def _one_by_one(steps: Steps, new: Steps, own: Sequence[int], options: VisitOptions) -> tuple[Steps, Any, Ints]:
    found = []
    for n in own:
        id_, at, pull, _ = new[n].item()
        found.append(pairs_of(steps, id_, at, pull, options))
        steps = steps_add(steps, new[n : n + 1], options.steps)
    return steps, np.concatenate(found), np.repeat(own, [len(each) for each in found])
