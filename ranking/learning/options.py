"""Every choice of the trainer, with its reason. Recorded with each version, so that a version can be trained again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias

AdapterKind: TypeAlias = Literal["projection", "lora", "adalora", "bottleneck", "full"]
LossName: TypeAlias = Literal["pairwise_sigmoid", "listwise_softmax", "info_nce"]
PRIVATE_KINDS: tuple[AdapterKind, ...] = ("lora", "bottleneck")  # that can learn under privacy noise
Precision: TypeAlias = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of a minor version; figures are of adapters inside the tower, with multilingual-e5-small, on two shops.

    *Sample shop*: 500 click-throughs of simulated shoppers on half of the judged queries, 47 steps; nDCG@10 by cosine
    alone of 150 queries asked and of 150 never asked, 0.660 and 0.606 before. (By ŷ it rises even with shuffled clicks:
    cosines become alike, and words decide.) *Best Buy*: 6,000 clicks before 2011-09-10, 100 steps; MAP@5 of ŷ of 316
    clicks after it by queries never asked before, and of 500 others; 0.447 and 0.769 before.
    """

    # what moves
    adapter: AdapterKind = "lora"
    """One of kinds.KINDS; the first version decides for its line, until the next major version.

    With the other defaults (sample shop, asked and never asked): LoRA +0.076 and +0.060, a bottleneck at 1e-3 +0.026 and
    +0.016, full at 2e-5 +0.049 and +0.023; AdaLoRA at 3e-3 +0.001 and +0.000: 47 steps are too few for it.
    """
    rank: int = 8
    """Of LoRA: 147,456 numbers (590 KB) on a 12-layer encoder of width 384. Of a bottleneck: its width. As `adapter`."""
    alpha: float = 16.0
    """LoRA's delta is alpha / rank · B A; twice the rank is the usual choice (Hu et al., 2021)."""
    words: bool = False
    """Whether `full` moves word embeddings as well: 81 % of e5's numbers, of which a range of clicks touches few."""
    learning_rate: float = 1e-3
    """Of the adapter, together with the average of weights. After 200 steps on Best Buy, queries never asked are at
    0.546 (5e-4, listwise: 0.531); never asked on the sample shop +0.050, at 5e-4 +0.013 (both listwise). 2e-4 learns
    half as much from 100 steps of Best Buy."""
    projection_rate: float = 0.02
    """Of a projection: a vector's numbers are a twentieth each, and 150 steps must reach where its ridge holds it."""
    ridge: float = 0.6
    """Weight of the squared length of a projection. In memory, simulated shoppers of Chorus, nDCG@10 that ŷ alone gained on
    queries never asked after 900, 3,000 and 8,000 clicks, means of 14, 14 and 8 shops: +0.010, +0.011, +0.015 (worst
    -0.018), at 0.3 +0.007, +0.008, +0.006 (worst -0.031), at 1.0 +0.009, +0.010, +0.010. From 0.3 on the map stays at
    nothing there: what carries over is the shift. Folds do not choose it: see docs/decisions."""
    head_learning_rate: float = 5e-3
    """Of the logarithms of the head's slopes: a version of 50 steps moves a slope by a quarter at most."""
    weight_decay: float = 0.01
    """Draws the adapter towards the frozen encoder, the only prior there is."""
    clip: float = 1.0
    """Largest norm of a step's gradient: one odd batch must not throw the tower."""

    # what it learns
    loss: LossName = "info_nce"
    """On Best Buy 0.525 of queries never asked, as listwise; pairwise 0.503. On the sample shop, where lists have
    several positives: +0.033 and +0.014, listwise +0.028 and +0.011, pairwise +0.033 and +0.015. All at 5e-4, nothing
    else on."""
    distillation: float = 0.1
    """Weight of the divergence from the parent's scores of the batch's products. Best Buy does not feel 0.1
    (listwise: 0.526 after 0.525); with the pairwise loss, ten times as small, 0.3 cost 0.010, and on the sample shop
    1.0 two thirds of what ŷ gains."""
    adversarial: float = 0.0
    """How far word embeddings are moved the worst way (FGM), as a share of their length; 0 not at all. At 0.05 the
    time doubles, queries asked gain +0.017 instead of +0.024, and with typing errors and dropped words 0.591 instead
    of 0.593."""
    ema: float = 0.9
    """Decay a step of the average of weights that is served; 0 serves the last step's. Best Buy 0.528 instead of
    0.525 (listwise); on the sample shop +0.030 and +0.013 instead of +0.033 and +0.015: a little less far, and it
    bears the higher rate."""
    average_versions: int = 1
    """How many versions the tensors served are the mean of: this one and its nearest ancestors; 1 this one alone.
    On a made-up shop with 65 of 100 clicks at random, 3 moved first pages less (overlap 0.91 after 0.84) and ended as
    well, but got there no sooner; that is one run, so it is a choice and not the default."""

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
    sampling_power: float = 1.0
    """An example is drawn with chance 1 / count(its query)^power: 0 each click alike, 1 each distinct query alike.
    Best Buy, never asked: 0.503 instead of 0.458 at 0 (at 0.5 listwise 0.517, at 1 0.526), asked alike; sample shop
    +0.033 and +0.015, at 0 +0.018 and +0.008."""

    stop_points: int = 0
    """At how many points, evenly spread over the steps, the calibrate part judges what was learned; when it is worth no
    more than at one before, the best is taken and training ends. 0: all steps."""

    # besides the range itself
    pooled: bool = False
    """Whether lists shown for one query are taken together: what was gained from each product per look at it."""
    pooled_looks: float = 3.0
    """Looks at which what was gained from a product counts as much as what is gained on average."""
    replay: float = 0.2
    """Older click-throughs, for each one with an outcome of the range: a seeded sample of all before it. After a
    second range (sample shop, other queries) those of the first gained +0.075 with it, +0.039 without, +0.045 at 0.5;
    the new ones +0.058, +0.031, +0.037."""
    relation_weight: float = 0.1
    """Of products related to the one wanted (variant of, accessory of), as positives. Pairwise +0.059 and +0.043
    instead of +0.033 and +0.015; 0.3 more still, +0.071 and +0.051, but the sample shop rates variants alike, and
    others may not."""

    inverse_propensity: float = 1.0
    """Most that a click counts for because its rank is seldom looked at (inverse propensity, clipped); 1 is off."""

    most_of_shopper: int = 3
    """Times that one shopper can want one product in a range: beyond, her click-throughs teach and judge nothing. A robot
    that clicks one product all day then counts as one eager shopper."""

    # negatives
    hard_negatives: int = 16
    """Nearest products that nobody clicked for this query, for click-throughs that say nothing of what else was shown."""
    hard_weight: float = 1.0
    """They are most likely seen and passed over: shops list what is near."""
    in_batch_weight: float = 0.5
    """Other queries' products keep the tower in its place; they are easy, and many. At 0.1 queries never asked gained
    less."""
    shown_hard_negatives: int = 0
    """Nearest products beside those that were shown, as negatives of a shown list: 8 change nothing, +0.033 and +0.017."""
    shown_hard_weight: float = 0.5
    """Nobody saw them: they count as much as those of other queries."""

    # what may serve
    least_overlap: float = 0.3
    """Least mean rank-biased overlap of the first ten before and after, over the queries that judge a version. Useful
    versions had 0.82 to 0.94 on the sample shop, but 0.38 to 0.55 on Best Buy (437 short names), shuffled clicks
    0.60: this stops accidents only."""

    least_day_overlap: float = 0.0
    """The same against what served a day before. 0 refuses none: what a day may change is the shop's to say, and the
    figure is there to say it by (`day_overlap`)."""
    most_crowding: float = 0.1
    """Most of the queries that judge a version, as a share, to whose first page one product may come from far down: one
    that is pushed into unrelated queries does."""

    # privacy: what the rest then means, and what is left out, stands in private.py and docs/how-to/privacy.md
    epsilon: float | None = None
    """What a version may tell of a shopper, at most; None: no noise, and no bound."""
    delta: float = 1e-6
    """The chance that it tells more: well below one over the number of shoppers."""
    noise_clip: float = 0.25
    """Longest gradient of a shopper; noise grows with it. On Chorus (e5, 24 queries with a click) gradients have quartiles of
    0.12, 0.45 and 0.83: most are cut, and few drown."""
    sample_rate: float = 1.0
    """Chance of a shopper to be in a step. With 1 the noise is the least for what is learned; see docs/decisions."""
    private_steps: int = 12
    """Whatever the range holds: how many shoppers are in it is theirs to know."""
    shopper_examples: int = 8
    """Of one shopper, the newest."""
    public_negatives: int = 64
    """Products drawn from the catalogue for each step, in place of those of other queries."""

    # what it runs on
    precision: Precision = "fp32"
    """Of matrix products; weights stay in fp32. Queries are short: there is little to save, and ŷ of the first page depends on
    small differences. `bench.robustness` has both."""
    threads: int = 1
    """Of torch: sums depend on how they are split, so this is part of what makes the bytes the same again."""
    pool: int = 5000
    """Products kept in memory for mining and for the gate, besides those of the range; more are sampled by a seeded hash."""


DEFAULTS = TrainOptions(
    adapter="projection", loss="pairwise_sigmoid", pooled=True, epochs=150.0, replay=10.0, in_batch_weight=0.0,
    distillation=0.0, relation_weight=0.0, head_learning_rate=1e-3,
)  # fmt: skip
"""A projection takes milliseconds a step, so that a version can learn from thousands of click-throughs each time
(`replay`); its ridge, and not few steps or a low rate, keeps it from learning by heart, so it goes over them as often as
`most_steps` allows (`epochs`). Pooled lists have products that were passed over, with rates: pairs of rates are what the
pairwise loss is for, and products of other queries would be called wrong that nobody saw. The ridge holds the vectors, so
the parent's scores need not (`distillation`), and relations would be wanted at a rate that nobody measured. The head learns
slowly: ŷ must not sharpen faster than vectors move. The defaults of the fields above are those of the other kinds.
"""


_RATES: Mapping[AdapterKind, float] = {"adalora": 3e-3, "full": 2e-5}  # as measured, see `adapter`


def options_of_kind(kind: AdapterKind) -> TrainOptions:
    """What a kind of adapter is trained with unless somebody chose otherwise."""
    if kind == DEFAULTS.adapter:
        return DEFAULTS
    found = TrainOptions(adapter=kind)
    return replace(found, learning_rate=_RATES.get(kind, found.learning_rate))


def as_kind(options: TrainOptions, kind: AdapterKind) -> TrainOptions:
    """What was chosen over the defaults of one kind, over those of another; what that kind cannot do is left out."""
    if kind == options.adapter:
        return options
    defaults = asdict(options_of_kind(options.adapter))
    chosen = {name: value for name, value in asdict(options).items() if value != defaults[name]}
    found = replace(options_of_kind(kind), **chosen)
    return replace(found, **{refused.option: refused.instead for refused in impossible(found)})


@dataclass(frozen=True, slots=True)
class Impossible:
    """A choice that goes with no other that was made, why, and what goes with them."""

    option: str
    reason: str
    instead: Any


def impossible(options: TrainOptions) -> list[Impossible]:
    """What these options ask for that cannot be done together."""
    found = []
    if options.adapter == "projection" and options.adversarial:
        found.append(
            Impossible("adversarial", "moves word embeddings, which a projection leaves as they are: adapter=lora", 0.0)
        )
    if options.pooled and options.inverse_propensity > 1:
        found.append(
            Impossible(
                "inverse_propensity",
                "is for single clicks; pooled lists count looks by rank already: pooled=false",
                1.0,
            )
        )
    return found


def options_of(recorded: Mapping[str, Any]) -> TrainOptions:
    """The options recorded with a version; what it did not know has its default, what is gone is left out."""
    known = {each.name for each in fields(TrainOptions)}
    return TrainOptions(**{name: value for name, value in recorded.items() if name in known})
