"""What keeps a few from teaching a version what they please (pure): a cap a shopper and product, and a look at who crowds in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from feedback.joining import ClickThrough

Ints: TypeAlias = NDArray[np.int64]
Subjects: TypeAlias = Mapping[int, UUID]  # whose impression, or interaction, is at a position
FAR = 50  # products: what a version has so far down is no near miss of a first page
LEAST_PRODUCTS = 200  # of a catalogue: in a smaller one nothing is far from a first page


def capped(closed: Sequence[ClickThrough], subjects: Subjects, *, most: int) -> list[ClickThrough]:
    """The click-throughs in which nobody wants one product for more than the `most`-th time, in their order.

    Those of nobody known are all kept. A click-through is left out whole: without its click it would say that the
    product was passed over.
    """
    counts: Counter[tuple[UUID, str]] = Counter()
    kept = []
    for each in closed:
        subject = subjects.get(each.impression_position)
        if subject is not None:
            pairs = [(subject, product) for product in each.outcomes]
            counts.update(pairs)
            if any(counts[pair] > most for pair in pairs):
                continue
        kept.append(each)
    return kept


def crowding(before: Sequence[Ints], after: Sequence[Ints], *, first: int) -> tuple[int, int]:
    """The product that comes from far to the first page of most queries, and of how many; (-1, 0) when none does.

    `before` and `after` are the products of each query, best first. A taste moves products within what is near; what a
    version had nowhere near, in query after query, somebody pushes.
    """
    counts: Counter[int] = Counter()
    for old, new in zip(before, after, strict=True):
        if len(old) >= LEAST_PRODUCTS:
            counts.update(set(new[:first].tolist()) - set(old[:FAR].tolist()))
    return max(counts.items(), key=lambda item: (item[1], -item[0]), default=(-1, 0))
