"""What ranking records: weights that were set, vectors, statistics and models that came to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eventlog.events import Event


@dataclass(frozen=True, kw_only=True)
class WeightSet(Event):
    """An operator set the factor r of a product, everywhere or for one query, perhaps until a date."""

    type = "ranking.WeightSet"
    product_id: str
    weight: float
    context_key: str | None = None
    until: str | None = None


@dataclass(frozen=True, kw_only=True)
class LexicalStatisticsPublished(Event):
    """From here on, document frequencies and lengths count as they stood just before this event."""

    type = "ranking.LexicalStatisticsPublished"
    documents: int


@dataclass(frozen=True, kw_only=True)
class DescriptionEmbedded(Event):
    """A description version has a vector under a major model version; the vector is stored under its text's hash."""

    type = "ranking.DescriptionEmbedded"
    product_id: str
    document_id: int
    description_version: int
    major: int
    vector_hash: str  # hex


@dataclass(frozen=True, kw_only=True)
class ContextRelated(Event):
    """A context that got its first feedback has these nearest contexts: pairs of context id and similarity."""

    type = "ranking.ContextRelated"
    context_id: int
    encoder: str
    neighbours: list[tuple[int, float]]


@dataclass(frozen=True, kw_only=True)
class ModelVersionTrained(Event):
    """A model version exists: what it was trained on and where its bytes are."""

    type = "ranking.ModelVersionTrained"
    version: str
    encoder: str
    artefact: str
    parent: str | None = None
    from_position: int = 0
    to_position: int = 0
    seed: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelVersionPromoted(Event):
    """This version serves from here on; `figures` are those of the shadow it leaves, where it was in one."""

    type = "ranking.ModelVersionPromoted"
    version: str
    reason: str
    figures: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelVersionShadowed(Event):
    """A version passed the gate; it may serve once so many click-throughs that closed after a position speak for it."""

    type = "ranking.ModelVersionShadowed"
    version: str
    after_position: int
    click_throughs: int


@dataclass(frozen=True, kw_only=True)
class ModelVersionRefused(Event):
    """The gate refused a version, and why; `figures` are those of its shadow, where it was refused there."""

    type = "ranking.ModelVersionRefused"
    version: str
    reason: str
    figures: dict[str, Any] | None = None


LEARNING_STREAM = "learning"  # one a shop


@dataclass(frozen=True, kw_only=True)
class LearningSet(Event):
    """An operator said how often the shop makes model versions by itself: live, daily or frozen (never)."""

    type = "ranking.LearningSet"
    learning: str


@dataclass(frozen=True, kw_only=True)
class ExaminationEstimated(Event):
    """From here on, a product that is shown counts as looked at by this curve: by rank, from 1, and its first value is 1.

    `clicks` are those on products that were seen at several ranks, among click-throughs closed up to `to_position`.
    """

    type = "ranking.ExaminationEstimated"
    curve: list[float]
    method: str  # em, swaps
    clicks: int
    to_position: int


@dataclass(frozen=True, kw_only=True)
class PrivacySet(Event):
    """An operator said what a shop's versions may tell of a shopper: each at most ε, all together the budget, but for δ.

    Without ε, they are trained without noise and without a bound.
    """

    type = "ranking.PrivacySet"
    epsilon: float | None = None
    delta: float
    budget: float


def major_stream(major: int) -> str:
    return f"major/{major}"


@dataclass(frozen=True, kw_only=True)
class MajorVersionRetired(Event):
    """Nothing has served from a major version for long enough: its current vectors and near contexts are not kept any more."""

    type = "ranking.MajorVersionRetired"
    major: int
    encoder: str


def result_list_stream(context_key: str) -> str:
    return f"results/{context_key}"


@dataclass(frozen=True, kw_only=True)
class ResultListRefreshed(Event):
    """A busy query was asked again: its best products then, and how far they had moved since the list before.

    `overlap` is their rank-biased overlap with that list, from 1 (the same) to 0; nothing where there was none.
    """

    type = "ranking.ResultListRefreshed"
    context_key: str
    query: str
    items: list[str]
    scores: list[float]
    model: str
    as_of_position: int
    reason: str  # new, model, products, feedback, age, operator
    overlap: float | None = None


@dataclass(frozen=True, kw_only=True)
class ResultListRetired(Event):
    """A result list is not kept any more: nobody asks for it, or its query finds nothing."""

    type = "ranking.ResultListRetired"
    context_key: str
    reason: str  # unasked, empty


def judgement_stream(context_key: str, product_id: str) -> str:
    return f"judgement/{context_key}/{product_id}"  # a key has no punctuation, so that no two pairs share a stream


@dataclass(frozen=True, kw_only=True)
class JudgementGiven(Event):
    """Somebody who knows the catalogue said how well a product answers a query: 3 just what was meant, 0 no answer."""

    type = "ranking.JudgementGiven"
    query: str  # as it was written
    context_key: str
    product_id: str
    rating: float


@dataclass(frozen=True, kw_only=True)
class TrainOptionsSet(Event):
    """From here on the shop's versions are trained with these options over the defaults, and with no others over them."""

    type = "ranking.TrainOptionsSet"
    options: dict[str, Any]
    reason: str


@dataclass(frozen=True, kw_only=True)
class MixLearned(Event):
    """A mix of strategies was fitted to what shoppers took, and judged on what they took later.

    `accepted`: it did better there than what was shown until then, by more than noise, and is shown from here on.
    """

    type = "ranking.MixLearned"
    surface: str
    coefficients: dict[str, float]
    intercept: float
    accepted: bool
    figures: dict[str, Any]
