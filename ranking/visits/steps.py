"""The newest interactions of a subject, packed: product, time, pull, in the order of their time (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

STEP = np.dtype([("id", "<i8"), ("at", "<f8"), ("pull", "<f4"), ("position", "<i8")])
Steps: TypeAlias = NDArray[Any]  # of STEP, (T,)
NO_STEPS: Steps = np.zeros(0, dtype=STEP)


def steps_of(records: Iterable[tuple[int, float, float, int]]) -> Steps:
    """Steps from (id, at, pull, position)."""
    return np.array(list(records), dtype=STEP)


def steps_unpack(packed: bytes) -> Steps:
    return np.frombuffer(packed, dtype=STEP)


def steps_add(steps: Steps, new: Steps, most: int) -> Steps:
    """The newest `most` of both by their time; of one time, by their place in the log."""
    both = np.concatenate([steps, new])
    if len(new) == 1 and len(steps) and steps["at"][-1] <= new["at"][0]:
        return both[-most:]  # as nearly always: it is the newest
    return both[np.lexsort((both["position"], both["at"]))][-most:]
