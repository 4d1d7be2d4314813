"""Losses against their closed form, at extremes, and behind padding."""

import math

import pytest
import torch
from torch import Tensor

from ranking.learning.losses import pairwise_sigmoid


def tensor(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_one_pair_costs_log_one_plus_exp_of_minus_the_difference() -> None:
    loss = pairwise_sigmoid(tensor([2.0, 0.5]), tensor([1.0, 0.0]), tensor([1.0, 1.0]))

    assert float(loss) == pytest.approx(math.log1p(math.exp(-1.5)))


def test_pairs_are_averaged_by_their_weights_and_by_what_more_was_gained() -> None:
    loss = pairwise_sigmoid(tensor([1.0, 0.0, 0.0]), tensor([3.0, 1.0, 0.0]), tensor([1.0, 1.0, 0.5]))

    # 0 over 1 gained 2 more, 0 over 2 gained 3 more at weight 0.5, 1 over 2 gained 1 more at weight 0.5
    first, level = math.log1p(math.exp(-1.0)), math.log(2.0)
    assert float(loss) == pytest.approx((2 * first + 1.5 * first + 0.5 * level) / 4)


def test_huge_differences_neither_overflow_nor_vanish() -> None:
    gains, weights = tensor([1.0, 0.0]), tensor([1.0, 1.0])

    assert float(pairwise_sigmoid(tensor([1e4, -1e4]), gains, weights)) == 0.0
    assert float(pairwise_sigmoid(tensor([-1e4, 1e4]), gains, weights)) == pytest.approx(2e4)


@pytest.mark.parametrize("junk", [7.0, float("nan"), float("inf")])
def test_padding_changes_neither_the_loss_nor_its_gradient(junk: float) -> None:
    plain, padded = tensor([0.3, 0.1]).requires_grad_(), tensor([0.3, 0.1, junk]).requires_grad_()

    alone = pairwise_sigmoid(plain, tensor([1.0, 0.0]), tensor([1.0, 0.7]))
    beside = pairwise_sigmoid(padded, tensor([1.0, 0.0, junk]), tensor([1.0, 0.7, 0.0]))
    alone.backward()  # type: ignore[no-untyped-call]
    beside.backward()  # type: ignore[no-untyped-call]

    assert float(beside.detach()) == float(alone.detach())
    assert plain.grad is not None
    assert padded.grad is not None
    assert torch.equal(padded.grad[:, :2], plain.grad)
    assert float(padded.grad[0, 2]) == 0.0


def test_lists_without_a_pair_cost_nothing_and_pull_nowhere() -> None:
    scores = tensor([0.3, 0.1]).requires_grad_()

    loss = pairwise_sigmoid(scores, tensor([1.0, 1.0]), tensor([1.0, 1.0]))
    loss.backward()  # type: ignore[no-untyped-call]

    assert float(loss.detach()) == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_the_gradient_is_that_of_finite_differences() -> None:
    gains, weights = tensor([2.0, 0.0, 1.0], [0.0, 1.0, 0.0]), tensor([1.0, 0.5, 1.0], [1.0, 1.0, 0.2])

    assert torch.autograd.gradcheck(
        lambda scores: pairwise_sigmoid(scores, gains, weights),
        tensor([0.2, -0.4, 0.9], [1.0, 0.0, 0.3]).requires_grad_(),
    )
