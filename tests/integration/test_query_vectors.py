"""Vectors of queries that many ask for at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
import pytest

from ranking.query_vectors import Floats, QueryVectors


class SlowTower:
    """Counts what it encodes, and how much of it at the same time."""

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.busy = self.busiest = 0
        self._lock = threading.Lock()

    def encode(self, text: str) -> Floats:
        with self._lock:
            self.encoded.append(text)
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        time.sleep(0.01)
        with self._lock:
            self.busy -= 1
        return np.array([len(text), 1.0], dtype=np.float32)


def test_a_new_query_that_all_ask_at_once_is_encoded_once() -> None:
    tower, vectors, key = SlowTower(), QueryVectors(), uuid4().hex

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: vectors.get(key, "mug", lambda: tower.encode("mug")), range(32)))

    assert tower.encoded == ["mug"]
    assert all(vector.tolist() == [3.0, 1.0] for vector in found)


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_are_encoded_at_the_same_time_than_there_are_cores_for(at_once: int) -> None:
    tower, vectors, key = SlowTower(), QueryVectors(at_once=at_once), uuid4().hex
    texts = [f"query {n}" for n in range(24)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: vectors.get(key, text, lambda: tower.encode(text)), texts))

    assert sorted(tower.encoded) == sorted(texts)
    assert tower.busiest == at_once


def test_a_query_that_cannot_be_encoded_does_not_keep_the_next_one_waiting() -> None:
    vectors, key = QueryVectors(), uuid4().hex

    def fail() -> Floats:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        vectors.get(key, "mug", fail)

    assert vectors.get(key, "mug", lambda: np.ones(2, dtype=np.float32)).tolist() == [1.0, 1.0]
