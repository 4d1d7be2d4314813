"""Companions of a product: with which others the same shoppers were at it, and how often, as decayed sums (pure).

A sum is scaled to a fixed moment (forward decay: Cormode, Shkapenyuk, Srivastava and Xu, "Forward Decay: A Practical Time
Decay Model for Streaming Systems", 2009), so that adding needs no rescaling, in any order. A list is cut when it has
twice as many entries as are kept, at the very event that brings one too many, so that it is the same however the log is
cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranking.visits.options import VISITS, VisitOptions
from ranking.visits.steps import STEP, Steps

SUMS = ("sum", "recent")  # by the lasting and by the recent half-life
COMPANION = np.dtype([("id", "<i8"), ("sum", "<f8"), ("recent", "<f8")])
PAIR = np.dtype([("of", "<i8"), ("id", "<i8"), ("sum", "<f8"), ("recent", "<f8")])
Companions: TypeAlias = NDArray[Any]  # of COMPANION, (N,), by id
Pairs: TypeAlias = NDArray[Any]  # of PAIR, in log order
Floats: TypeAlias = NDArray[np.float64]
FIXED_AT = 1_577_836_800.0  # 2020-01-01; sums of 2^±1000 years fit a double


def companions_unpack(packed: bytes) -> Companions:
    return np.frombuffer(packed, dtype=COMPANION)


def scale(at: float | Floats, name: str = "sum", options: VisitOptions = VISITS) -> Any:
    """By what a pair of this time counts in a stored sum; a sum as it stands at a time is the stored one divided by it."""
    half_life = options.pair_half_life_seconds if name == "sum" else options.recent_half_life_seconds
    return np.exp2((np.asarray(at, dtype=np.float64) - FIXED_AT) / half_life)


def pairs_of(steps: Steps, id_: int, at: float, pull: float, options: VisitOptions = VISITS) -> Pairs:
    """What a new interaction pairs with: the subject's steps before it, of other products, both ways round."""
    others = steps[steps["id"] != id_]
    new = np.empty(len(others), dtype=STEP)
    new["id"], new["at"], new["pull"] = id_, at, pull
    return pairs_between(others, new, options)


def pairs_between(steps: Steps, new: Steps, options: VisitOptions = VISITS) -> Pairs:
    """Pairs of N steps with N new ones, of two products each, both ways round, (2 N,)."""
    gaps = np.abs(new["at"] - steps["at"]) / options.gap_half_life_seconds
    later = np.maximum(new["at"], steps["at"])
    strength = np.exp2(-gaps) * np.sqrt(steps["pull"].astype(np.float64) * new["pull"])
    found = np.empty(2 * len(steps), dtype=PAIR)
    found["of"][0::2], found["id"][0::2] = steps["id"], new["id"]
    found["of"][1::2], found["id"][1::2] = new["id"], steps["id"]
    for name in SUMS:
        found[name] = np.repeat(strength * scale(later, name, options), 2)
    return found


def companions_add(
    stored: Mapping[int, Companions], pairs: Pairs, options: VisitOptions = VISITS
) -> dict[int, Companions]:
    """The lists of all products that pairs name, with the pairs added; a list that is not stored begins empty."""
    old = [companions for companions in stored.values() if len(companions)]
    before = np.empty(sum(map(len, old)), dtype=PAIR)
    before["of"] = np.repeat([id_ for id_, each in stored.items() if len(each)], [len(each) for each in old])
    for name in ("id", *SUMS):
        before[name] = np.concatenate([each[name] for each in old]) if old else 0
    every = np.concatenate([before, pairs])
    every = every[np.lexsort((every["id"], every["of"]))]
    first = np.flatnonzero(
        np.append(True, (every["of"][1:] != every["of"][:-1]) | (every["id"][1:] != every["id"][:-1]))
    )
    summed = np.empty(len(first), dtype=COMPANION)
    summed["id"] = every["id"][first]
    for name in SUMS:
        summed[name] = np.add.reduceat(every[name], first)
    owners = every["of"][first]
    bounds = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
    lists = dict(zip(owners[bounds].tolist(), np.split(summed, bounds[1:]), strict=True))
    full = [id_ for id_, each in lists.items() if len(each) > 2 * options.companions]
    return lists | _one_by_one(stored, pairs, full, options) if full else lists


def _one_by_one(
    stored: Mapping[int, Companions], pairs: Pairs, full: list[int], options: VisitOptions
) -> dict[int, Companions]:
    """Lists that grow too long within these pairs, a pair at a time: each is cut where it would have been cut alone."""
    concerned = pairs[np.isin(pairs["of"], full)]
    concerned = concerned[np.argsort(concerned["of"], kind="stable")]
    found = {}
    for of_one in np.split(concerned, np.flatnonzero(np.diff(concerned["of"])) + 1):
        id_ = int(of_one["of"][0])
        sums = {} if id_ not in stored else {row[0]: list(row[1:]) for row in stored[id_].tolist()}
        for _, other, *values in of_one.tolist():
            sums[other] = [a + b for a, b in zip(sums.get(other, (0.0, 0.0)), values, strict=True)]
            if len(sums) > 2 * options.companions:
                best = sorted(sums, key=lambda each: (-sums[each][0], each))[: options.companions]
                sums = {each: sums[each] for each in best}
        found[id_] = np.array([(other, *values) for other, values in sorted(sums.items())], dtype=COMPANION)
    return found
