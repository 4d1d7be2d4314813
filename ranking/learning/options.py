"""Every choice of the trainer, with its reason. Recorded with each version, so that a version can be trained again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

AdapterKind: TypeAlias = Literal["lora", "adalora", "bottleneck", "full"]
LossName: TypeAlias = Literal["pairwise_sigmoid", "listwise_softmax", "info_nce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of a minor version. Defaults were tried on the Best Buy log and on simulated shoppers of the sample shop."""

    # what moves
    adapter: AdapterKind = "lora"
    """One of kinds.KINDS; the first version decides for its line, until the next major version."""
    rank: int = 8
    """Of LoRA: 147,456 numbers (590 KB) on a 12-layer encoder of width 384. Of a bottleneck: its width. As `adapter`."""
    alpha: float = 16.0
    """LoRA's delta is alpha / rank · B A; twice the rank is the usual choice (Hu et al., 2021)."""
    words: bool = False
    """Whether `full` moves word embeddings as well: 81 % of e5's numbers, of which a range of clicks touches few."""
    learning_rate: float = 5e-4
    """Of the adapter. 2e-4 learned half as much from a range of simulated shoppers; 1e-3 lost 0.015 MAP@5 on the Best Buy log."""
    head_learning_rate: float = 5e-3
    """Of the logarithms of the head's slopes: a version of 50 steps moves a slope by a quarter at most."""
    weight_decay: float = 0.01
    """Draws the adapter towards the frozen encoder, the only prior there is."""
    clip: float = 1.0
    """Largest norm of a step's gradient: one odd batch must not throw the tower."""

    # what it learns
    loss: LossName = "pairwise_sigmoid"
    """One of losses.LOSSES."""
    distillation: float = 0.0
    """Weight of the divergence from the parent's scores of the batch's products."""
    adversarial: float = 0.0
    """How far word embeddings are moved the worst way (FGM), as a share of their length; 0 not at all."""
    ema: float = 0.0
    """Decay a step of the average of weights that is served; 0 serves the last step's."""

    # how long
    batch: int = 32
    """Queries whose activations are in memory at once."""
    accumulate: int = 1
    """Batches a step: with half the `batch` and twice this, the same gradients in half the memory and 4/3 of the time."""
    epochs: float = 3.0
    """Passes over the range; steps follow from the range alone, never from the clock."""
    most_steps: int = 200
    """A version should take a minute at most on two cores: the next one goes on from it."""
    warm_up: float = 0.1
    """Share of the steps over which the rate rises; then it falls linearly to zero."""
    sampling_power: float = 0.0
    """An example is drawn with chance 1 / count(its query)^power: 0 each click alike, 1 each distinct query alike."""

    # besides the range itself
    replay: float = 0.0
    """Older click-throughs, for each one with an outcome of the range: a seeded sample of all before it."""
    relation_weight: float = 0.0
    """Of products related to the one wanted (variant of, accessory of), as positives."""

    # negatives
    hard_negatives: int = 16
    """Nearest products that nobody clicked for this query, for click-throughs that say nothing of what else was shown."""
    hard_weight: float = 1.0
    """They are most likely seen and passed over: shops list what is near."""
    in_batch_weight: float = 0.5
    """Other queries' products keep the tower in its place; they are easy, and many. At 0.1 queries never asked gained less."""
    shown_hard_negatives: int = 0
    """Nearest products beside those that were shown, as negatives of a shown list."""
    shown_hard_weight: float = 0.5
    """Nobody saw them: they count as much as those of other queries."""

    # what may serve
    least_overlap: float = 0.0
    """Least mean rank-biased overlap of the first ten before and after, over the queries that judge a version."""

    # what it runs on
    threads: int = 1
    """Of torch: sums depend on how they are split, so this is part of what makes the bytes the same again."""
    pool: int = 5000
    """Products kept in memory for mining and for the gate, besides those of the range; more are sampled by a seeded hash."""


DEFAULTS = TrainOptions()
