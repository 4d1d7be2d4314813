"""One shopper moves a clipped sum by no more than the bound; noise is as calibrated; ε is what opacus says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant

from ranking.learning.accounting import Noise, epsilon_of, noise_for
from ranking.learning.noise import clipped_sum, normal, secret
from ranking.learning.options import TrainOptions

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 10**6), scale=st.sampled_from([1e-6, 0.3, 1.0, 1e4]), clip=st.floats(0.01, 10))
def test_one_shopper_moves_the_sum_by_no_more_than_the_bound(
    sizes: list[int], seed: int, scale: float, clip: float
) -> None:
    gradients = scale * torch.randn(sum(sizes), 7, generator=torch.Generator().manual_seed(seed))
    owners = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    left = seed % len(sizes)
    others = owners != left

    whole = clipped_sum(gradients, owners, clip)
    without = clipped_sum(gradients[others], owners[others] - (owners[others] > left).long(), clip)

    assert float(torch.linalg.norm(whole - without)) <= clip * (1 + 1e-9)


def test_a_gradient_within_the_bound_stays_and_a_shopper_with_many_examples_counts_once() -> None:
    gradients = torch.tensor([[0.3, 0.4], [0.0, 10.0], [0.0, 30.0]])

    total = clipped_sum(gradients, torch.tensor([0, 1, 1]), clip=1.0)

    assert total.tolist() == pytest.approx([0.3, 0.4 + 1.0])


def test_nobody_drawn_is_a_sum_of_nothing() -> None:
    assert clipped_sum(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), clip=1.0).tolist() == [0.0] * 3


def test_normal_numbers_are_as_wide_as_they_should_be() -> None:
    found = normal(200_001, np.random.default_rng(3).random)

    assert len(found) == 200_001
    assert (found.mean(), found.std()) == pytest.approx((0.0, 1.0), abs=0.01)
    assert (np.abs(found) > 1.96).mean() == pytest.approx(0.05, abs=0.003)


def test_secret_numbers_lie_between_0_and_1_and_are_never_the_same() -> None:
    one, two = secret(10_000), secret(10_000)

    assert 0 < one.min() < one.max() < 1
    assert one.mean() == pytest.approx(0.5, abs=0.02)
    assert not np.intersect1d(one, two).size


@pytest.mark.parametrize(("multiplier", "rate", "steps"), [(1.1, 256 / 60_000, 3510), (2.0, 1.0, 12)])
def test_epsilon_is_what_opacus_accounts_step_by_step(multiplier: float, rate: float, steps: int) -> None:
    accountant = RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=multiplier, sample_rate=rate)

    ours = epsilon_of([Noise(multiplier, rate, steps)], delta=1e-5)

    # orders differ a little; an ε from any order holds
    assert ours == pytest.approx(accountant.get_epsilon(delta=1e-5), rel=0.02)


def test_a_known_case_comes_to_the_figure_that_is_published() -> None:
    """The Gaussian mechanism by hand: ρ(α) = α / 2σ², ε = min ρ + log((α-1)/α) - (log δ + log α)/(α-1)."""
    alpha = np.arange(1.001, 60, 0.001)
    by_hand = (alpha / (2 * 3.0**2) + np.log((alpha - 1) / alpha) - (np.log(1e-5) + np.log(alpha)) / (alpha - 1)).min()

    assert epsilon_of([Noise(3.0, 1.0, 1)], delta=1e-5) == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 8.0])
def test_calibrated_noise_costs_no_more_than_was_asked_and_hardly_less(epsilon: float) -> None:
    noise = noise_for(epsilon=epsilon, delta=1e-6, sample_rate=1.0, steps=12)

    assert 0.98 * epsilon < epsilon_of([noise], delta=1e-6) <= epsilon


def test_versions_together_cost_more_than_each_and_less_than_their_sum() -> None:
    noise = noise_for(epsilon=1.0, delta=1e-6, sample_rate=1.0, steps=12)

    assert epsilon_of([], delta=1e-6) == 0.0
    assert 1.0 < epsilon_of([noise] * 2, delta=1e-6) < epsilon_of([noise] * 8, delta=1e-6) < 4.0


def test_a_budget_of_8_pays_43_versions_of_1_with_the_options_as_they_are() -> None:
    chosen = TrainOptions()
    noise = noise_for(epsilon=1.0, delta=chosen.delta, sample_rate=chosen.sample_rate, steps=chosen.private_steps)

    assert epsilon_of([noise] * 43, delta=chosen.delta) <= 8.0 < epsilon_of([noise] * 44, delta=chosen.delta)
