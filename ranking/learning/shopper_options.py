"""The choices of the shopper tower's training, with their reasons. Recorded with each version that trained one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopperOptions:
    """Options of the shopper tower. Figures are MRR@10 on Amazon toys with titles by MiniLM (`python -m bench.personal`, which
    takes every one of these as `--option NAME=VALUE`)."""

    # its shape: that of the first tower of a major version stays
    width: int = 64
    """Of the transformer: 87,000 numbers (350 KB) beside vectors of 384, in every artefact."""
    layers: int = 1
    """Histories are short: more than one looks back through what was already looked back at."""
    heads: int = 2
    """As SASRec has it on small shops."""
    decay: float = 0.8
    """Of a step's pull on the mean for each one after it: untrained, 0.0069 MRR@10 of 2,000 shoppers, at 0.5 0.0058, at
    1.0 (no decay) 0.0053."""
    residual: float = 0.05
    """Of what is added to the mean. Adam moves each of its 24,576 numbers as far as the learning rate says, whatever the
    gradient: undamped, they outweigh the mean, which finds the nearest products, within some steps."""

    # how it learns
    dropout: float = 0.2
    """SASRec's on shops with many shoppers; each course is seen a few times only."""
    learning_rate: float = 1e-3
    """Adam's usual one for a transformer of this size; it falls to zero in a line."""
    weight_decay: float = 0.01
    """Draws what is added to the mean towards nothing."""
    clip: float = 1.0
    """Largest norm of a step's gradient, as of the query tower."""
    sharpness: float = 5.0
    """What cosines are multiplied by at the start; it is learned."""
    sharpness_rate: float = 0.03
    """Of its logarithm: faster than the rest, or a mean that is too sure of itself is unlearned instead of softened."""
    batch: int = 32
    """Courses a step."""
    epochs: float = 5.0
    """Passes over the courses; steps follow from their number alone."""
    most_steps: int = 150
    """Some 12 s on one core: a version should take a minute at most."""
    negatives: int = 256
    """Products drawn a step beside those wanted in it, from all that were ever wanted: those that nobody had met yet
    would be learned to be wanted by nobody."""
    popularity: float = 1.0
    """How much of a product's popularity is taken out of what it has to explain: 1 teaches what one wants more than others
    do, as g counts what everybody wants; 0 what comes next, whoever it is."""
    interactions: int = 20_000
    """The newest ones that are read: 12 MB and a tenth of a second."""


SHOPPER = ShopperOptions()
