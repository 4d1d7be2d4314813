"""Every choice of the trainer, with its reason. Recorded with each version, so that a version can be trained again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of a minor version. Defaults were tried on the Best Buy log and on simulated shoppers of the sample shop."""

    # what moves
    rank: int = 8
    """Of LoRA: 147,456 numbers (590 KB) on a 12-layer encoder of width 384; the first version decides for its line."""
    alpha: float = 16.0
    """LoRA's delta is alpha / rank · B A; twice the rank is the usual choice (Hu et al., 2021)."""
    learning_rate: float = 5e-4
    """Of the adapter. 2e-4 learned half as much from a range of simulated shoppers; 1e-3 lost 0.015 MAP@5 on the Best Buy log."""
    head_learning_rate: float = 5e-3
    """Of the logarithms of the head's slopes: a version of 50 steps moves a slope by a quarter at most."""
    weight_decay: float = 0.01
    """Draws the adapter towards the frozen encoder, the only prior there is."""
    clip: float = 1.0
    """Largest norm of a step's gradient: one odd batch must not throw the tower."""

    # what it learns from
    loss: str = "pairwise_sigmoid"
    """One of losses.LOSSES."""

    # how long
    batch: int = 32
    """Examples a step; other examples' products are negatives, so fewer teach less, more cost memory."""
    accumulate: int = 1
    """Batches a step: raise it where memory is short, with `batch` lowered as much."""
    epochs: float = 3.0
    """Passes over the range; steps follow from the range alone, never from the clock."""
    most_steps: int = 200
    """A version should take a minute at most on two cores: the next one goes on from it."""
    warm_up: float = 0.1
    """Share of the steps over which the rate rises; then it falls linearly to zero."""

    # negatives
    hard_negatives: int = 16
    """Nearest products that nobody clicked for this query, for click-throughs that say nothing of what else was shown."""
    hard_weight: float = 1.0
    """They are most likely seen and passed over: shops list what is near."""
    in_batch_weight: float = 0.5
    """Other queries' products keep the tower in its place; they are easy, and many. At 0.1 queries never asked gained less."""

    # what it runs on
    threads: int = 1
    """Of torch: sums depend on how they are split, so this is part of what makes the bytes the same again."""
    pool: int = 5000
    """Products kept in memory for mining and for the gate, besides those of the range; more are sampled by a seeded hash."""


DEFAULTS = TrainOptions()
