"""How alike two rankings are. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import accumulate
from math import fsum

PERSISTENCE = 0.9  # the first ten ranks carry 86 % of the weight


def rank_biased_overlap(first: Sequence[Hashable], second: Sequence[Hashable], *, p: float = PERSISTENCE) -> float:
    """Extrapolated rank-biased overlap of two rankings of any lengths, in [0, 1]: 1 alike, 0 nothing in common.

    The agreement A_d of two lists is the share that their first d have in common. It is averaged over all depths with the
    weights (1 - p) p^(d-1) of a reader who goes on to the next rank with probability p; beyond what is known of a list its
    agreement is taken to stay. One list that begins like the other is alike as far as is known: 1. Two empty lists are
    alike, an empty and another one are not.

    RBO_EXT, equations 23 and 32 of Webber, Moffat, Zobel: A Similarity Measure for Indefinite Rankings, ACM Transactions
    on Information Systems 28(4), 2010. Raises ValueError when p is not in (0, 1) or a list names something twice.
    """
    if not 0.0 < p < 1.0:
        raise ValueError(f"p must lie between 0 and 1, not {p}")
    if len(set(first)) < len(first) or len(set(second)) < len(second):
        raise ValueError("a ranking names each item once")
    shorter, longer = sorted((first, second), key=len)
    if not shorter or shorter == longer:  # said exactly, where rounding might say 0.9999999999999999
        return 1.0 if len(shorter) == len(longer) else 0.0
    common = _overlaps(shorter, longer)
    s, known = len(shorter), common[len(shorter) - 1]
    agreements = [
        (x + known * max(d - s, 0) / s) / d  # the shorter list goes on as it was, at the share known / s
        for d, x in enumerate(common, start=1)
    ]
    weights = [(1 - p) * p ** (d - 1) for d in range(1, len(longer) + 1)]
    seen = fsum(weight * agreement for weight, agreement in zip(weights, agreements, strict=True))
    return min(seen + p ** len(longer) * agreements[-1], 1.0)


def _overlaps(shorter: Sequence[Hashable], longer: Sequence[Hashable]) -> list[int]:
    """How many the first d of both have in common, for each depth d of the longer list."""
    rank = {item: i for i, item in enumerate(shorter)}
    met = [0] * len(longer)
    for i, item in enumerate(longer):
        if item in rank:
            met[max(i, rank[item])] += 1  # at the deeper of its two places both have it
    return list(accumulate(met))
