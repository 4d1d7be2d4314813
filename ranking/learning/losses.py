"""Losses: pure functions of scores, gains and weights. A new one goes here, with its test in tests/unit/test_learning_losses.py."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pairwise_sigmoid(scores: Tensor, gains: Tensor, weights: Tensor) -> Tensor:
    """Mean of log(1 + exp(-(s_i - s_j))) over all pairs of a list in which i gained more than j, a scalar.

    `scores`, `gains` and `weights` are (B, P): B lists of P products. A pair counts weights_i · weights_j · (gain_i -
    gain_j); weight 0 is padding, whatever stands in its score and gain. Without any pair the loss is 0 and has zero gradients.

    Burges et al., "Learning to Rank using Gradient Descent" (RankNet), 2005; weights by examination as in Joachims,
    Swaminathan and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", 2017.
    """
    there = weights > 0
    scores = torch.where(there, scores, 0.0)  # a NaN under the padding would survive a product with 0
    gains = torch.where(there, gains, 0.0)
    more = (gains.unsqueeze(2) - gains.unsqueeze(1)).clamp(min=0)  # (B, P, P): how much more i gained than j
    pairs = more * weights.unsqueeze(2) * weights.unsqueeze(1)  # (B, P, P)
    losses = functional.softplus(scores.unsqueeze(1) - scores.unsqueeze(2))  # (B, P, P): of s_i - s_j
    mass = pairs.sum()
    return (pairs * losses).sum() / torch.where(mass > 0, mass, 1.0)
