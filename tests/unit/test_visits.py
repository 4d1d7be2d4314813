"""Companions of products: the same however the log is cut, bounded, symmetrical, and fading with time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.visits.companions import COMPANION, PAIR, Companions, companions_add, pairs_of, scale
from ranking.visits.options import VisitOptions
from ranking.visits.owned import Owned
from ranking.visits.popularity import Visited
from ranking.visits.steps import NO_STEPS, STEP, steps_add, steps_of

DAY = 86_400.0
SMALL = VisitOptions(companions=3)
pair = st.tuples(st.integers(1, 4), st.integers(5, 16), st.sampled_from([0.5, 1.0, 2.0]))


def added(pieces: list[list[tuple[int, int, float]]], options: VisitOptions) -> dict[int, Companions]:
    state: dict[int, Companions] = {}
    for piece in pieces:
        if piece:
            new = np.array([(*each, each[2]) for each in piece], dtype=PAIR)
            touched = {id_: state[id_] for id_ in np.unique(new["of"]).tolist() if id_ in state}
            state |= companions_add(touched, new, options)
    return state


@given(st.lists(pair, min_size=1, max_size=60), st.lists(st.integers(1, 20), min_size=1))
def test_lists_are_the_same_however_the_log_is_cut(pairs: list[tuple[int, int, float]], sizes: list[int]) -> None:
    pieces: list[list[tuple[int, int, float]]] = []
    start = 0
    while start < len(pairs):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(pairs[start : start + size])
        start += size

    at_once, piecewise = added([pairs], SMALL), added(pieces, SMALL)

    assert at_once.keys() == piecewise.keys()
    for id_, companions in at_once.items():
        assert companions["id"].tolist() == piecewise[id_]["id"].tolist()
        assert companions["sum"] == pytest.approx(piecewise[id_]["sum"])


@given(st.lists(pair, min_size=1, max_size=200))
def test_no_list_grows_beyond_twice_what_is_kept(pairs: list[tuple[int, int, float]]) -> None:
    assert all(len(each) <= 2 * SMALL.companions for each in added([pairs], SMALL).values())


def test_the_weakest_companions_are_lost_first() -> None:
    state = added([[(1, other, float(other)) for other in range(5, 12)]], SMALL)

    assert state[1]["id"].tolist() == [9, 10, 11]
    assert state[1].dtype == COMPANION


def test_pairs_go_both_ways_and_never_with_oneself() -> None:
    steps = steps_of([(7, 0.0, 1.0, 1), (8, 0.0, 1.0, 2)])

    pairs = pairs_of(steps, 7, 0.0, 4.0)

    assert list(zip(pairs["of"], pairs["id"], strict=True)) == [(8, 7), (7, 8)]
    assert pairs["sum"] == pytest.approx(2.0 * float(scale(0.0)))  # the root of 1 · 4


def test_a_pair_halves_with_the_gap_and_with_its_age() -> None:
    near, far = (pairs_of(steps_of([(7, at, 1.0, 1)]), 8, 400 * DAY, 1.0)["sum"][0] for at in (400 * DAY, 220 * DAY))

    assert far == pytest.approx(near / 2)
    assert float(scale(365 * DAY) / scale(0.0)) == pytest.approx(2.0)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), max_size=30), st.integers(1, 8))
def test_the_newest_steps_are_kept_whatever_their_order(given: list[tuple[int, int]], most: int) -> None:
    new = [(id_, float(at), 1.0, n) for n, (id_, at) in enumerate(given)]
    steps = NO_STEPS
    for each in new:
        steps = steps_add(steps, steps_of([each]), most)

    newest = sorted(new, key=lambda each: (each[1], each[3]))[-most:]
    assert steps.dtype == STEP
    assert [int(each["position"]) for each in steps] == [each[3] for each in newest]


@given(st.lists(st.floats(0, 100 * DAY), min_size=1, max_size=20), st.randoms())
def test_popularity_and_what_is_owned_do_not_depend_on_the_order(ats: list[float], chance: object) -> None:
    shuffled = sorted(ats, key=lambda at: hash((at, id(chance))))
    one, other, mine, again = Visited(1), Visited(1), Owned(), Owned()
    for at in ats:
        one.add(1.0, at)
        mine.add("purchase", at)
    for at in shuffled:
        other.add(1.0, at)
        again.add("purchase", at)

    assert other.sums == pytest.approx(one.sums)
    assert again.reward == pytest.approx(mine.reward)
    assert (one.at, mine.bought_at, mine.purchases) == (max(ats), max(ats), len(ats))
