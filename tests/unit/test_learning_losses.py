"""Losses against their closed form, at extremes, and behind padding."""

import math

import pytest
import torch
from torch import Tensor

from ranking.learning.losses import LOSSES, Loss, distillation, info_nce, listwise_softmax, pairwise_sigmoid, together


def tensor(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def ones(count: int) -> Tensor:
    return torch.ones(1, count, dtype=torch.float64)


@pytest.fixture(params=sorted(LOSSES))
def loss(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param]


def test_one_pair_costs_log_one_plus_exp_of_minus_the_difference(loss: Loss) -> None:
    assert float(loss(tensor([2.0, 0.5]), tensor([1.0, 0.0]), ones(2))) == pytest.approx(math.log1p(math.exp(-1.5)))


def test_huge_differences_neither_overflow_nor_vanish(loss: Loss) -> None:
    assert float(loss(tensor([1e4, -1e4]), tensor([1.0, 0.0]), ones(2))) == 0.0
    assert float(loss(tensor([-1e4, 1e4]), tensor([1.0, 0.0]), ones(2))) == pytest.approx(2e4)


@pytest.mark.parametrize("junk", [7.0, float("nan"), float("inf")])
def test_padding_changes_neither_the_loss_nor_its_gradient(loss: Loss, junk: float) -> None:
    plain, padded = tensor([0.3, 0.1]).requires_grad_(), tensor([0.3, 0.1, junk]).requires_grad_()

    alone = loss(plain, tensor([1.0, 0.0]), tensor([1.0, 0.7]))
    beside = loss(padded, tensor([1.0, 0.0, junk]), tensor([1.0, 0.7, 0.0]))
    alone.backward()  # type: ignore[no-untyped-call]
    beside.backward()  # type: ignore[no-untyped-call]

    assert float(beside.detach()) == pytest.approx(float(alone.detach()), rel=1e-15)
    assert plain.grad is not None
    assert padded.grad is not None
    assert torch.allclose(padded.grad[:, :2], plain.grad, rtol=1e-14)
    assert float(padded.grad[0, 2]) == 0.0


def test_a_list_of_padding_alone_changes_nothing(loss: Loss) -> None:
    gains, weights = tensor([1.0, 0.0]), tensor([1.0, 0.7])
    nothing = torch.full((1, 2), float("nan"), dtype=torch.float64)

    alone = loss(tensor([0.3, 0.1]), gains, weights)
    beside = loss(
        torch.cat([tensor([0.3, 0.1]), nothing]), torch.cat([gains, nothing]), torch.cat([weights, 0 * weights])
    )

    assert float(beside) == pytest.approx(float(alone), rel=1e-15)


@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_lists_without_a_pair_cost_nothing_and_pull_nowhere(loss: Loss, gain: float) -> None:
    scores = tensor([0.3, 0.1]).requires_grad_()

    cost = loss(scores, tensor([gain, gain]), ones(2))
    cost.backward()  # type: ignore[no-untyped-call]

    assert float(cost.detach()) == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_the_gradient_is_that_of_finite_differences(loss: Loss) -> None:
    gains, weights = tensor([2.0, 0.0, 1.0], [0.0, 1.0, 0.0]), tensor([1.0, 0.5, 1.0], [1.0, 1.0, 0.2])
    scores = tensor([0.2, -0.4, 0.9], [1.0, 0.0, 0.3]).requires_grad_()

    assert torch.autograd.gradcheck(lambda given: loss(given, gains, weights), scores)


def test_raising_what_gained_most_lowers_the_loss_and_no_constant_matters(loss: Loss) -> None:
    gains, scores = tensor([3.0, 1.0, 0.0]), tensor([0.1, 0.2, 0.3])

    before = float(loss(scores, gains, ones(3)))

    assert float(loss(scores + tensor([0.5, 0.0, 0.0]), gains, ones(3))) < before
    assert float(loss(scores + 5.0, gains, ones(3))) == pytest.approx(before)


def test_pairs_are_averaged_by_their_weights_and_by_what_more_was_gained() -> None:
    cost = pairwise_sigmoid(tensor([1.0, 0.0, 0.0]), tensor([3.0, 1.0, 0.0]), tensor([1.0, 1.0, 0.5]))

    # 0 over 1 gained 2 more, 0 over 2 gained 3 more at weight 0.5, 1 over 2 gained 1 more at weight 0.5
    first, level = math.log1p(math.exp(-1.0)), math.log(2.0)
    assert float(cost) == pytest.approx((2 * first + 1.5 * first + 0.5 * level) / 4)


def test_listwise_softmax_is_the_cross_entropy_of_gains_and_weighted_softmax() -> None:
    cost = listwise_softmax(tensor([1.0, 0.0, 0.5]), tensor([2.0, 1.0, 0.0]), tensor([1.0, 1.0, 0.5]))

    total = math.exp(1.0) + 1.0 + 0.5 * math.exp(0.5)
    assert float(cost) == pytest.approx((-2 * math.log(math.exp(1.0) / total) - math.log(1 / total)) / 3)


def test_info_nce_sets_each_positive_against_what_gained_less_alone() -> None:
    cost = info_nce(tensor([1.0, 0.0, 0.5]), tensor([1.0, 1.0, 0.0]), tensor([1.0, 1.0, 0.5]))

    first, second = math.log1p(0.5 * math.exp(-0.5)), math.log1p(0.5 * math.exp(0.5))
    assert float(cost) == pytest.approx((first + second) / 2)


def test_distillation_is_the_divergence_from_the_parents_softmax() -> None:
    cost = distillation(tensor([1.0, 0.0]), tensor([0.0, 0.0]))

    q = 1 / (1 + math.exp(-1.0))
    assert float(cost) == pytest.approx(0.5 * math.log(0.5 / q) + 0.5 * math.log(0.5 / (1 - q)))


def test_distillation_of_the_parents_own_scores_is_nothing_even_at_extremes() -> None:
    scores = tensor([1e4, -1e4, 0.3]).requires_grad_()

    cost = distillation(scores, scores.detach() + 3.0)
    cost.backward()  # type: ignore[no-untyped-call]

    assert float(cost.detach()) == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_distillation_bears_a_parent_that_was_sure_of_the_opposite() -> None:
    scores = tensor([-1e4, 1e4]).requires_grad_()

    cost = distillation(scores, tensor([1e4, -1e4]))
    cost.backward()  # type: ignore[no-untyped-call]

    assert float(cost.detach()) == pytest.approx(2e4)
    assert scores.grad is not None
    assert scores.grad.tolist() == [[-1.0, 1.0]]


def test_what_neither_version_can_rank_changes_no_distillation_and_other_lists_are_averaged_in() -> None:
    nothing = -1e30  # a logit that no softmax sees
    plain, padded = tensor([1.0, 0.0]).requires_grad_(), tensor([1.0, 0.0, nothing]).requires_grad_()

    alone, beside = distillation(plain, tensor([0.0, 0.5])), distillation(padded, tensor([0.0, 0.5, nothing]))
    alone.backward()  # type: ignore[no-untyped-call]
    beside.backward()  # type: ignore[no-untyped-call]

    assert float(beside.detach()) == pytest.approx(float(alone.detach()), rel=1e-14)
    assert plain.grad is not None
    assert padded.grad is not None
    assert torch.allclose(padded.grad[:, :2], plain.grad, rtol=1e-14)
    assert float(padded.grad[0, 2]) == 0.0
    twice = distillation(tensor([1.0, 0.0], [2.0, 2.0]), tensor([0.0, 0.5], [1.0, 1.0]))
    assert float(twice) == pytest.approx(float(alone.detach()) / 2)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_lists_without_their_common_padding_cost_the_same_and_teach_the_same(loss: str) -> None:
    torch.manual_seed(4)
    weights = (torch.rand(5, 12) > 0.5) * torch.rand(5, 12)
    weights[:, 3] = 0.0
    gains = torch.randint(0, 3, (5, 12)).float()
    scores = torch.randn(5, 12, requires_grad=True)

    whole = torch.autograd.grad(cost := LOSSES[loss](scores, gains, weights), scores)[0]
    kept = torch.autograd.grad(less := LOSSES[loss](*together(scores, gains, weights)), scores)[0]

    assert together(scores, gains, weights)[0].shape[1] < 12
    assert less.item() == pytest.approx(cost.item(), rel=1e-5)
    assert torch.allclose(kept, whole, atol=1e-6)
