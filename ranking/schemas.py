"""Shapes of ranking's answers and parameters, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, Field

from eventlog.rejections import Rejection
from ranking.cadence import Learning
from ranking.filters import FACETS, SORTS
from ranking.inputs import WeightIn
from ranking.judgements import MOST_JUDGEMENTS, JudgementIn
from ranking.strategies.mixes import SURFACES


class ExperimentBlock(BaseModel):
    id: str
    variant: str


class RankingBlock(BaseModel):
    token: str
    version: str = Field(examples=["3.14@90211"])
    model: str
    as_of_position: int
    age_seconds: float
    strategy: str
    diversity_cost: float | None = Field(
        None, description="Of an explained recommendation: the share of expected reward that its variety gives away"
    )
    experiment: ExperimentBlock | None = Field(None, description="Where the answer counts in one")


class WeightFactors(BaseModel):
    global_: float = Field(alias="global")
    query: float
    operator: float


class MoveOut(BaseModel):
    """A rule (by its id), or a relation, that made a product stand where it stands."""

    kind: str = Field(description="pin, boost; replaces, variants (of the products named), out_of_stock")
    id: str | None = None
    rank: int | None = None
    factor: float | None = None
    product_ids: list[str] | None = None


class Explanation(BaseModel):
    dense: float | None
    lexical: float
    weight: WeightFactors
    events: float
    basis: str
    rules: list[MoveOut]
    personal: float | None = Field(
        None, description="What the taste of the shopper who asks adds to the logit of the relevance, where it counts"
    )

    strategies: dict[str, float] | None = Field(
        None, description="Of a recommendation: what each strategy adds to the logit of the relevance"
    )


class Item(BaseModel):
    product_id: str
    rank: int
    score: float
    relevance: float
    weight: float
    description_version: int
    vector_version: int | None
    title: str
    brand: str | None
    category: list[str]
    price: float | None
    currency: str | None
    in_stock: bool
    image_url: str | None
    explanation: Explanation | None = None


class FacetValue(BaseModel):
    value: str
    count: int


class Answer(BaseModel):
    ranking: RankingBlock
    items: list[Item]
    facets: dict[str, list[FacetValue]]
    total: int
    corrected_query: str | None


class Recommendations(BaseModel):
    ranking: RankingBlock
    items: list[Item]
    total: int


class TokenIn(BaseModel):
    token: str


class WeightsIn(BaseModel):
    weights: list[WeightIn] = Field(max_length=1000)


class JudgementsIn(BaseModel):
    judgments: list[JudgementIn] = Field(max_length=MOST_JUDGEMENTS)


class BatchAnswer(BaseModel):
    accepted: int
    duplicates: int
    rejected: list[Rejection]
    receipt: str | None


class WeightOut(BaseModel):
    global_: float = Field(alias="global")
    query: float
    operator: float
    weight: float
    evidence: dict[str, float]


class ModelOut(BaseModel):
    version: str
    parent: str | None
    from_position: int
    to_position: int
    artefact: str
    metrics: dict[str, Any]
    epsilon: float | None
    state: str
    reason: str | None
    erased: int = Field(description="Click-throughs of its range that were of shoppers erased since")
    forgetting: dict[str, float] | None = Field(
        description="What it lost on click-throughs from before its range, by figure; below 0 it knows them better"
    )


class ShadowOut(BaseModel):
    version: str
    closed: int = Field(description="Click-throughs with an outcome that closed since it was judged first")
    click_throughs: int = Field(description="Of so many it is judged again, and promoted or refused")


class LearningIn(BaseModel):
    learning: Learning


class LearningOut(LearningIn):
    refused_in_a_row: int
    slowdown: int = Field(description="How many times the usual click-throughs the next version waits for")
    waiting: int = Field(description="Click-throughs with an outcome that the next version may take")
    wanted: int = Field(description="So many make a version")
    shadow: ShadowOut | None


class LearningSetOut(LearningIn):
    receipt: str


class PrivacyOut(BaseModel):
    epsilon: float | None = Field(description="What one version may tell of a shopper; null: no noise from now on")
    delta: float
    budget: float
    spent: float = Field(description="The ε of all versions with noise together, refused ones too")
    refusal: str | None = Field(description="Why no further version is trained; null: it may be")


class RolloutOut(BaseModel):
    version: str
    state: Literal["embedding", "relating", "indexing", "ready"]
    embedded: float = Field(description="Share of live products whose current description has a vector of this version")
    related: float = Field(description="Share of contexts whose neighbours were looked for by this version's encoder")


class ModelsOut(BaseModel):
    learning: LearningOut
    privacy: PrivacyOut | None
    serving: str | None
    rollout: RolloutOut | None = Field(description="The major version that is about to serve, and how far it is")
    versions: list[ModelOut]


class ServingOut(BaseModel):
    serving: str


def _parameter(name: str, text: str, type_: Any = OpenApiTypes.STR, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name=name, description=text, type=type_, location=OpenApiParameter.QUERY, **more)


SEARCH = [
    _parameter("q", "What the shopper typed, up to 1,000 characters.", required=True),
    _parameter("k", "How many items, 1 to 100; 20 when absent.", OpenApiTypes.INT),
    _parameter("offset", "How many to skip, 0 to 1,000.", OpenApiTypes.INT),
    _parameter("shopper_id", "The shop's id of the shopper; with a public key it needs shopper_signature."),
    _parameter("shopper_signature", "HMAC-SHA256 of shopper_id in hex, made by the shop's server."),
    _parameter("filter", "field:value, for example brand:HP, price:10..50, attributes.colour:Black.", many=True),
    _parameter("facets", f"Comma separated: {', '.join(FACETS)}."),
    _parameter("sort", "Relevance when absent; other orders list what is relevant enough.", enum=SORTS),
    _parameter("explain", "1: say of each item why it stands there.", enum=["0", "1"]),
]
RECOMMENDATIONS = [
    _parameter("surface", "Where they are shown.", required=True, enum=SURFACES),
    _parameter("shopper_id", "The shop's id of the shopper; with a public key it needs shopper_signature."),
    _parameter("shopper_signature", "HMAC-SHA256 of shopper_id in hex, made by the shop's server."),
    _parameter("product_id", "The product of the page; of a basket each of its products.", many=True),
    _parameter("k", "How many items, 1 to 100; 20 when absent.", OpenApiTypes.INT),
    _parameter("filter", "field:value, as in searches.", many=True),
    _parameter("explain", "1: say of each item why it stands there.", enum=["0", "1"]),
]
WEIGHTS = [
    _parameter("product_id", "Which product.", required=True),
    _parameter("query", "For which query; without it, the factors that count for every query."),
]
