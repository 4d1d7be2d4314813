"""Intervals that always hold: what they are by hand, and how often they are wrong however often one looks."""

from __future__ import annotations

from math import comb, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.experiments.intervals import TUNED, Sums, difference, preference, sign_test, stretch, sums_of


def side(rate: float, *, shoppers: int = 500, seed: int = 1) -> Sums:
    chance = np.random.default_rng(seed)
    requests = (1 + chance.poisson(2.0, shoppers)).astype(np.float64)
    return sums_of(requests, chance.binomial(requests.astype(int), rate).astype(float))


def test_the_radius_is_that_of_the_paper() -> None:
    rho, alpha, t = sqrt(1 / TUNED), 0.05, 3000
    theirs = sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * log(sqrt(t * rho**2 + 1) / alpha))

    assert sqrt(stretch(t / TUNED, alpha) / t) == pytest.approx(theirs)


def test_the_variance_counts_shoppers_not_requests() -> None:
    """Ten requests of one shopper that are all alike say as much as one."""
    chance = np.random.default_rng(1)
    clicked = chance.integers(0, 2, 400).astype(float)
    one, ten = sums_of(np.ones(400), clicked), sums_of(10 * np.ones(400), 10 * clicked)

    assert ten.value == one.value
    assert ten.squares(ten.value) / ten.n**2 == pytest.approx(one.squares(one.value) / one.n**2)


def test_sums_of_halves_add_up() -> None:
    n, y = np.arange(1.0, 9.0), np.array([0.0, 1, 0, 2, 3, 0, 1, 1])

    assert sums_of(n[:3], y[:3]) + sums_of(n[3:], y[3:]) == sums_of(n, y)


def test_a_large_difference_is_found_and_its_sign_is_right() -> None:
    found = difference(side(0.2), side(0.4, seed=2), alpha=0.05)

    assert found is not None
    assert 0 < found.low < found.estimate == pytest.approx(0.2, abs=0.03)


def test_a_margin_moves_what_it_is_compared_with() -> None:
    plain, guarded = (difference(side(0.3), side(0.2, seed=2), alpha=0.05, margin=m) for m in (0.0, 0.5))

    assert plain is not None and guarded is not None  # noqa: PT018
    assert plain.high < 0 < guarded.high


def test_nothing_is_said_of_few_shoppers_or_of_hardly_any_that_did_something() -> None:
    nobody = sums_of(np.ones(500), np.zeros(500))

    assert difference(side(0.3, shoppers=49), side(0.3), alpha=0.05) is None
    assert difference(nobody, nobody, alpha=0.05) is None
    assert preference(sums_of(np.zeros(0), np.zeros(0)), alpha=0.05) is None


def test_a_small_side_without_its_rare_purchases_is_not_exact() -> None:
    bought = np.zeros(2000)
    bought[:60] = 1.0
    control, few = sums_of(np.ones(2000), bought), sums_of(np.ones(600), np.zeros(600))

    found = difference(control, few, alpha=0.05)

    own = control.squares(control.value) / 2000**2  # of few by itself 0
    assert found is not None
    assert found.high - found.estimate > 1.5 * sqrt(own * stretch(2600 / TUNED, 0.05))


@given(st.floats(0.001, 0.2), st.floats(0.01, 1e6))
def test_it_is_wider_than_an_interval_for_one_look(alpha: float, information: float) -> None:
    assert stretch(information, alpha) > -2 * log(alpha)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 5), (9, 1), (1, 9), (60, 40)])
def test_the_sign_test_is_the_binomial(wins: int, losses: int) -> None:
    n = wins + losses
    tail = sum(comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n

    assert sign_test(wins, losses) == pytest.approx(min(1.0, 2 * tail))


def test_who_prefers_the_second_ranking_is_believed_after_enough_lists() -> None:
    chance = np.random.default_rng(3)
    net = np.where(chance.random(300) < 0.7, 1.0, -1.0)

    few, many = (preference(sums_of(np.ones(n), net[:n]), alpha=0.05) for n in (10, 300))

    assert few is not None and many is not None  # noqa: PT018
    assert few.low < 0 < many.low
    assert -1 <= few.low <= few.high <= 1
