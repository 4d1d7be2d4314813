"""How near candidates are to single items of a context, whatever the others are."""

from __future__ import annotations

import numpy as np
import pytest

from ranking.strategies.nearness import nearness
from ranking.visits.asked import Asked

UNRELATED = 0.2
ASKED = Asked(
    now=100.0,
    ids=np.array([1, 2]),
    at=np.array([90.0, 10.0]),
    pull=np.ones(2),
    companions=[],
    totals=np.zeros(2),
    recent_totals=np.zeros(2),
)
ITEMS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
CANDIDATES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [np.nan] * 3, [0.6, 0.8, 0]], dtype=np.float32)


def test_each_candidate_is_as_near_as_the_nearest_item_is() -> None:
    near = nearness(ASKED, np.array([0, 0, 5, 6, 0]), CANDIDATES, ITEMS, unrelated=UNRELATED)

    assert near.nearest == pytest.approx([1.0, 1.0, 0.0, 0.0, 0.75])


def test_an_item_is_not_near_itself() -> None:
    near = nearness(ASKED, np.array([1, 2, 5, 6, 0]), CANDIDATES, ITEMS, unrelated=UNRELATED)

    assert near.nearest[:2].tolist() == near.around[:2].tolist() == [0.0, 0.0]


def test_newer_items_count_more_of_what_is_around() -> None:
    around = nearness(ASKED, np.array([0, 0, 5, 6, 0]), CANDIDATES, ITEMS, unrelated=UNRELATED).around

    assert around[0] > around[1] > 0.0
    assert around[:2].sum() == pytest.approx(1.0)


def test_without_vectors_or_items_nothing_is_near() -> None:
    for vectors, items in ((None, ITEMS), (CANDIDATES, np.zeros((0, 0), dtype=np.float32))):
        near = nearness(ASKED, np.arange(5), vectors, items, unrelated=UNRELATED)
        assert near.nearest.tolist() == near.around.tolist() == [0.0] * 5
