"""Every choice of a major version's training, with its reason. Recorded with the version."""

from __future__ import annotations

from dataclasses import dataclass

from ranking.learning.options import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorOptions:
    """Options of a full fine-tune of both towers. None was measured on a real shop yet but where a figure is given."""

    learning_rate: float = 2e-5
    """The usual rate of a full fine-tune (Devlin et al., 2019), and that of `full` in options.py."""
    weight_decay: float = 0.0
    """It would draw weights to 0, which are not those of the pre-trained encoder."""
    clip: float = 1.0
    """Largest norm of a step's gradient: one odd batch must not throw the towers."""
    words: bool = False
    """Whether word embeddings move too: 81 % of e5's numbers, of which a shop's clicks touch few."""
    batch: int = 64
    """Queries a step, over all processes: each is a negative's list for the others. It must be divisible by their number."""
    at_once: int = 16
    """Texts whose activations are in memory at once in a process; gradients are those of the whole batch. Where a process has
    no more texts than this, none is encoded twice, which saves a quarter of the time."""
    hard_negatives: int = 2
    """Products of each example that it did not want, encoded beside the one it wanted."""
    epochs: float = 3.0
    """Passes over the examples; steps follow from them alone, never from the clock."""
    most_steps: int = 1000
    """A major version may take a night, not a week."""
    warm_up: float = 0.1
    """Share of the steps over which the rate rises; then it falls linearly to zero."""
    kept: float = 0.3
    """Share of the click-throughs, the newest, that judge and teach nothing; as of judged queries."""
    most_clicks: int = 50_000
    """Newest click-throughs that are read: tastes older than those have been replaced by newer ones."""
    most_judges: int = 1000
    """Newest of the kept click-throughs that judge, and as many before them that calibrate: more take minutes, and tell
    no more than their standard error."""
    least_overlap: float = 0.3
    """As for minor versions: it stops accidents only."""
    pool: int = 5000
    """Products kept in memory for mining and for the gate, besides those named; more are sampled by a seeded hash."""
    precision: Precision = "bf16"
    """Of matrix products; weights stay in fp32. 32 product texts take a core with AMX 1.6 s forward and back, in fp32 3.3 s.
    Choose fp32 for a CPU with neither AMX nor avx512_bf16."""
    threads: int = 1
    """Of torch, a process: sums depend on how they are split."""


MAJOR = MajorOptions()
