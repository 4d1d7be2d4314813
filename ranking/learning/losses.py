"""Losses: pure functions of scores, gains and weights. A new one goes into LOSSES, where its contract tests find it.

All take (B, P): B lists of P products. Weight 0 is padding, whatever stands in its score and gain. A list in which
nothing gained more than something else teaches nothing: it costs nothing and has zero gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def pairwise_sigmoid(scores: Tensor, gains: Tensor, weights: Tensor) -> Tensor:
    """Mean of log(1 + exp(-(s_i - s_j))) over all pairs of a list in which i gained more than j, a scalar.

    A pair counts weights_i · weights_j · (gain_i - gain_j). Burges et al., "Learning to Rank using Gradient Descent"
    (RankNet), 2005; weights by examination as in Joachims, Swaminathan and Schnabel, "Unbiased Learning-to-Rank with
    Biased Feedback", 2017.
    """
    scores, gains = _known(scores, weights), _known(gains, weights)
    more = (gains.unsqueeze(2) - gains.unsqueeze(1)).clamp(min=0)  # (B, P, P): how much more i gained than j
    pairs = more * weights.unsqueeze(2) * weights.unsqueeze(1)  # (B, P, P)
    losses = functional.softplus(scores.unsqueeze(1) - scores.unsqueeze(2))  # (B, P, P): of s_i - s_j
    return _mean(losses, pairs)


def listwise_softmax(scores: Tensor, gains: Tensor, weights: Tensor) -> Tensor:
    """Mean of -log q_i over the products that gained, each counting weight_i · gain_i, a scalar.

    q is the softmax of a list's scores, in which a product stands weight_i times: of products seldom looked at,
    fewer would have been there to choose from. Cao et al., "Learning to Rank: From Pairwise Approach to Listwise
    Approach" (ListNet), 2007, top-one; as cross-entropy with any gain: Bruch et al., "An Analysis of the Softmax Cost
    Function for Learning to Rank with Binary Relevance", 2019.
    """
    logits = _known(scores, weights) + _log(weights)  # (B, P), -inf at the padding
    losses = logits.logsumexp(dim=1, keepdim=True) - logits  # (B, P)
    return _mean(torch.where(weights > 0, losses, 0.0), _gained(gains, weights))


def info_nce(scores: Tensor, gains: Tensor, weights: Tensor) -> Tensor:
    """Mean of log(1 + Σ_j weight_j exp(s_j - s_i)) over products i that gained, j all that gained less, a scalar.

    i counts weight_i · gain_i. Unlike in a softmax over the list, what gained as much is no negative. Van den Oord, Li
    and Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018; its temperature is the head's slope.
    """
    scores, gains = _known(scores, weights), _known(gains, weights)
    less = gains.unsqueeze(1) < gains.unsqueeze(2)  # (B, P, P): j gained less than i
    logits = torch.where(less, (scores + _log(weights)).unsqueeze(1), _LOWEST)  # (B, P, P)
    losses = functional.softplus(logits.logsumexp(dim=2) - scores)  # (B, P)
    return _mean(losses, _gained(gains, weights))


LOSSES: Mapping[str, Loss] = {
    "pairwise_sigmoid": pairwise_sigmoid,
    "listwise_softmax": listwise_softmax,
    "info_nce": info_nce,
}
_LOWEST = -1e30  # finite: a softmax over nothing but -inf has no gradient but NaN


def distillation(scores: Tensor, parent: Tensor) -> Tensor:
    """Mean KL(softmax(parent) || softmax(scores)) of B lists of P products, (B, P) each; 0 when the order of both and
    its certainty are the same, a scalar.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, at the temperature of ŷ's own logits.
    """
    before, after = parent.log_softmax(dim=1), scores.log_softmax(dim=1)
    return (before.exp() * (before - after)).sum(dim=1).mean()


def _known(values: Tensor, weights: Tensor) -> Tensor:
    return torch.where(weights > 0, values, 0.0)  # a NaN under the padding would survive a product with 0


def together(scores: Tensor, gains: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same lists, (B, most), without what is padding in all of them: P products have P² pairs, and a batch holds the
    products of every list. To no loss does it make a difference."""
    there = weights > 0
    most = max(1, int(there.sum(dim=1).max())) if there.numel() else 0
    first = (~there).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]  # (B, most)
    return _known(scores, weights).gather(1, first), _known(gains, weights).gather(1, first), weights.gather(1, first)


def _log(weights: Tensor) -> Tensor:
    return torch.where(weights > 0, weights, 1.0).log() + torch.where(weights > 0, 0.0, _LOWEST)


def _gained(gains: Tensor, weights: Tensor) -> Tensor:
    """Weight times gain, (B, P); 0 in lists in which all gained the same."""
    there = weights > 0
    most = torch.where(there, gains, -torch.inf).amax(dim=1, keepdim=True)
    least = torch.where(there, gains, torch.inf).amin(dim=1, keepdim=True)
    return torch.where(there & (most > least), gains * weights, 0.0)


def _mean(losses: Tensor, mass: Tensor) -> Tensor:
    total = mass.sum()
    return (mass * losses).sum() / torch.where(total > 0, total, 1.0)
