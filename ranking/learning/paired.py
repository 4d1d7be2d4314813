"""Two versions side by side, paired over queries (pure).

Click-throughs of one query are no independent witnesses: a version that by luck ranks its favourite higher is
confirmed by everybody who asks for it. So what counts is how many queries gain, and not how often each was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def by_query(values: Doubles, queries: Sequence[str]) -> Doubles:
    """The mean of each query's known values, (Q,); `values` (N,) are of click-throughs of these queries, NaN is unknown."""
    names, of = np.unique(np.array(queries, dtype=str), return_inverse=True)
    known = ~np.isnan(values)
    counts = np.bincount(of[known], minlength=len(names))
    sums = np.bincount(of[known], weights=values[known], minlength=len(names))
    return np.asarray(sums[counts > 0] / counts[counts > 0], dtype=np.float64)


def least_gain(changes: Doubles, *, certainty: float) -> float:
    """What these queries gain on average at least, with this certainty: the lower end of Student's interval; fewer than two
    queries are certain of nothing."""
    if len(changes) < 2:
        return float("-inf")
    error = float(changes.std(ddof=1)) / sqrt(len(changes))
    return float(changes.mean()) - student(certainty, len(changes) - 1) * error


def student(certainty: float, freedom: int) -> float:
    """Quantile of Student's t, to 1 % from three degrees of freedom on. Abramowitz and Stegun, "Handbook of Mathematical
    Functions", 1964, 26.7.5."""
    z = NormalDist().inv_cdf(certainty)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(sum(term / freedom**power for power, term in enumerate(terms)))
