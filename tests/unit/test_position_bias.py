"""The curve of examination: recovered where it is known, the default where little is known, safe whatever comes."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.learning.position_bias import (
    BiasOptions,
    Floats,
    Looks,
    estimate,
    falling,
    fit_em,
    fit_swaps,
    settled,
)
from ranking.weights.factors import examination
from tests.bias_shoppers import looks_of, looks_simulated

RANKS: Floats = np.arange(1, 11, dtype=np.float64)
CURVES: dict[str, Floats] = {"steep": 1 / RANKS, "default": examination(RANKS), "flat": RANKS**-0.3}


def off(found: Floats | list[float], curve: Floats) -> float:
    """By how much an estimate is wrong, in the mean over its ranks."""
    return float(np.abs(np.asarray(found) - curve[: len(found)]).mean())


@pytest.mark.parametrize("name", CURVES)
def test_em_finds_the_curve_though_what_was_clicked_moved_up(name: str) -> None:
    looks = looks_simulated(CURVES[name], visits=4000, moves="by clicks", seed=1)

    assert off(fit_em(looks, 10), CURVES[name]) < 0.05


@pytest.mark.parametrize("name", CURVES)
def test_both_find_the_curve_of_a_shop_that_randomises(name: str) -> None:
    looks = looks_simulated(CURVES[name], visits=4000, moves="at random", seed=2)

    assert off(fit_em(looks, 10), CURVES[name]) < 0.04
    assert off(fit_swaps(looks.moved(), 10), CURVES[name]) < 0.04


def test_swaps_are_led_astray_where_clicks_move_products() -> None:
    looks = looks_simulated(CURVES["default"], visits=4000, moves="by clicks", seed=1)

    assert off(fit_swaps(looks.moved(), 10), CURVES["default"]) > 0.1


@pytest.mark.parametrize("name", CURVES)
def test_an_estimate_comes_near_with_a_few_thousand_clicks(name: str) -> None:
    found = estimate(looks_simulated(CURVES[name], visits=2500, moves="by clicks", seed=3))

    assert found is not None
    assert found.clicks > 1000
    assert found.curve[0] == 1.0
    assert off(found.curve, CURVES[name]) < 0.08


def test_little_feedback_leaves_the_default() -> None:
    assert estimate(looks_simulated(CURVES["steep"], visits=250, moves="at random", seed=1)) is None


def test_products_that_never_moved_say_nothing_however_often_they_were_clicked() -> None:
    assert estimate(looks_simulated(CURVES["steep"], visits=5000, moves="never", seed=1)) is None


def test_no_feedback_at_all_leaves_the_default() -> None:
    assert estimate(looks_of({}, {})) is None


def test_ranks_that_nobody_clicked_at_are_not_estimated() -> None:
    found = estimate(looks_simulated(CURVES["steep"], visits=700, moves="at random", seed=2))

    assert found is not None
    assert 5 <= len(found.curve) < 10


def test_one_product_at_two_ranks_gives_the_ratio_of_its_clicks() -> None:
    swapped = {(0, 0, 1): [1000, 500], (0, 0, 2): [1000, 250]}

    assert fit_swaps(looks_of(swapped, {(0, 0): 1}), 2)[1] == pytest.approx(0.5, abs=0.01)
    assert fit_em(looks_of(swapped, {(0, 0): 1}), 2)[1] == pytest.approx(0.5, abs=0.05)  # γ on a grid


def test_pools_of_what_rises_have_its_mean() -> None:
    assert falling(np.array([1.0, 0.2, 0.6]), np.array([1.0, 3.0, 1.0])).tolist() == pytest.approx([1.0, 0.3, 0.3])


def test_with_plenty_of_clicks_a_curve_may_rise_again() -> None:
    grid = np.array([1.0, 0.3, 0.9])

    assert settled(grid, np.full(3, 1e6)).tolist() == pytest.approx([1.0, 0.3, 0.9], abs=1e-3)
    assert settled(grid, np.full(3, 900.0))[1] == settled(grid, np.full(3, 900.0))[2]


shares = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20)


@given(shares, st.integers(0, 5000))
def test_whatever_was_found_is_made_safe(values: list[float], clicks: int) -> None:
    found = settled(np.array([1.0, *values]), np.full(len(values) + 1, float(clicks)))

    assert found[0] == 1.0
    assert (found >= BiasOptions().least).all()
    assert (found <= 1.0).all()
    assert clicks >= BiasOptions().plenty or (np.diff(found) <= 1e-12).all()


@given(shares)
def test_without_clicks_what_was_found_is_the_default(values: list[float]) -> None:
    found = settled(np.array([1.0, *values]), np.zeros(len(values) + 1))

    assert found.tolist() == pytest.approx(examination(np.arange(1, len(values) + 2)).tolist())


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 5)), min_size=1, max_size=12))
def test_what_falls_keeps_the_weighted_mean(pairs: list[tuple[float, float]]) -> None:
    values, weights = (np.array(each) for each in zip(*pairs, strict=True))

    found = falling(values, weights)

    assert (np.diff(found) <= 1e-9).all()
    assert float(found @ weights) == pytest.approx(float(values @ weights), abs=1e-6)


counts = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 25)),
    st.tuples(st.integers(1, 300), st.floats(0, 1)),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(counts)
def test_any_feedback_gives_a_curve_or_none(counted: dict[tuple[int, int, int], tuple[int, float]]) -> None:
    found = estimate(looks_random(counted), BiasOptions(least_clicks=1, least_of_rank=1, least_ranks=1))

    if found is not None:
        assert found.curve[0] == 1.0
        assert all(0.05 <= value <= 1.0 for value in found.curve)


def looks_random(counted: dict[tuple[int, int, int], tuple[int, float]]) -> Looks:
    seen = {key: [shown, round(shown * share)] for key, (shown, share) in counted.items()}
    first: dict[tuple[int, int], int] = defaultdict(lambda: 99)
    for query, product, rank in seen:
        first[query, product] = min(first[query, product], rank)
    return looks_of(seen, dict(first))
