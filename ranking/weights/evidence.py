"""What feedback says about the candidates of one search: decayed sums, read by serving in one statement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Basis: TypeAlias = Literal["none", "clicks", "impressions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopEvidence:
    """What is known of the whole shop, decayed to the time of the search; `breadth` is the sum over its `products`."""

    reward: float = 0.0
    exposure: float = 0.0
    breadth: float = 0.0
    products: int = 0

    @property
    def base_rate(self) -> float:
        """b: reward per exposure; 0 when nothing was ever shown."""
        return self.reward / self.exposure if self.exposure > 0.0 else 0.0


def _nothing() -> Floats:
    """No evidence, for any number of candidates."""
    return np.zeros(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Decayed sums of one search, one entry per candidate, shape (N,); totals are over all products of the context.

    `context_*` decay by the lasting half-life, `recent_*` hold the same rewards by the recent one. `near_*` are lasting
    sums over the neighbours, each multiplied by its `neighbour_weight`, not yet capped. `product_breadth` counts the
    contexts that rewarded a product, each once, decayed by the age of its newest reward.
    """

    product_reward: Floats
    product_exposure: Floats
    context_reward: Floats
    context_exposure: Floats
    near_reward: Floats
    near_exposure: Floats
    operator: Floats
    product_breadth: Floats = field(default_factory=_nothing)
    recent_reward: Floats = field(default_factory=_nothing)
    recent_exposure: Floats = field(default_factory=_nothing)
    context_reward_total: float = 0.0
    context_exposure_total: float = 0.0
    recent_reward_total: float = 0.0
    near_reward_total: float = 0.0
    near_exposure_total: float = 0.0
    shop: ShopEvidence = field(default_factory=ShopEvidence)


def no_evidence(count: int) -> Evidence:
    """Evidence of a shop that has had no feedback, for `count` candidates."""
    zeros = np.zeros(count)
    return Evidence(
        product_reward=zeros,
        product_exposure=zeros,
        context_reward=zeros,
        context_exposure=zeros,
        near_reward=zeros,
        near_exposure=zeros,
        operator=np.ones(count),
    )


def basis_of(reward_total: float, exposure_total: float) -> Basis:
    """What a context's factor can be learned from.

    A rewarded product was looked at, so exposure below reward means that impressions are missing (a click log, a shop
    that sends none): dividing by it would promote whatever was shown least.
    """
    if exposure_total > 0.0 and exposure_total >= reward_total:
        return "impressions"
    return "clicks" if reward_total > 0.0 else "none"
