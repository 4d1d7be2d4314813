"""Companions of products: the same however the log is cut, bounded, symmetrical, and fading with time."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.visits.companions import COMPANION, PAIR, Companions, companions_add, pairs_of, scale
from ranking.visits.options import VisitOptions
from ranking.visits.owned import Owned
from ranking.visits.popularity import visited
from ranking.visits.steps import NO_STEPS, STEP, Steps, steps_add, steps_of
from ranking.visits.walk import steps_walk

DAY = 86_400.0
SMALL = VisitOptions(companions=3)
FEW = VisitOptions(steps=3)
NO_PAIRS = np.zeros(0, dtype=PAIR)
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


@given(st.lists(st.floats(0, 100 * DAY), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_popularity_and_what_is_owned_do_not_depend_on_the_order(ats: list[float], chance: Random) -> None:
    shuffled = chance.sample(ats, len(ats))
    mine, again = Owned(), Owned()
    for at, other_at in zip(ats, shuffled, strict=True):
        mine.add("purchase", at, 1.0)
        again.add("purchase", other_at, 1.0)
    one, other = (
        visited(np.zeros(len(ats), dtype=np.int64), 1, np.ones(len(ats)), np.array(each)) for each in (ats, shuffled)
    )

    assert other.sums == pytest.approx(one.sums)
    assert again.reward == pytest.approx(mine.reward)
    assert (one.at.tolist(), one.first_at.tolist()) == ([max(ats)], [min(ats)])
    assert (mine.bought_at, mine.purchases) == (max(ats), len(ats))


def test_visits_are_summed_by_group_and_fade_to_the_newest_of_each() -> None:
    found = visited(np.array([0, 1, 0]), 2, np.array([1.0, 2.0, 4.0]), np.array([0.0, 5 * DAY, DAY]))

    assert found.at.tolist() == [DAY, 5 * DAY]
    assert found.sums[0].tolist() == [4.5, 2.0]  # by day: what is a day old counts half


step = st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.integers(0, 6), st.sampled_from([1.0, 4.0]))


@given(st.lists(step, max_size=25), st.integers(0, 25))
def test_many_steps_at_once_are_as_each_alone(given: list[tuple[str, int, int, float]], cut: int) -> None:
    whose = [who for who, *_ in given]
    new = steps_of((id_, at * DAY, pull, n) for n, (_, id_, at, pull) in enumerate(given))
    alone: dict[str, Steps] = {}
    expected = [NO_PAIRS]
    for n, who in enumerate(whose):
        before = alone.get(who, NO_STEPS)
        id_, at, pull, _ = new[n].item()
        expected.append(pairs_of(before, id_, at, pull, FEW))
        alone[who] = steps_add(before, new[n : n + 1], FEW.steps)

    some, first, _ = steps_walk(whose[:cut], new[:cut], {}, FEW)
    after, second, made_by = steps_walk(whose[cut:], new[cut:], some, FEW)

    assert np.concatenate([first, second]).tolist() == np.concatenate(expected).tolist()
    assert {who: steps.tolist() for who, steps in (some | after).items()} == {w: s.tolist() for w, s in alone.items()}
    assert (np.diff(made_by) >= 0).all()
