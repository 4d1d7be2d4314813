"""What an operator may say of rules and arrangements, checked field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from catalog.inputs import Name
from feedback.contexts import query_context
from ranking.moments import Moment
from ranking.rules.events import RuleSet
from ranking.rules.rule import RuleKind, Surface
from ranking.rules.settings import RECOMMENDATIONS, SEARCH, OutOfStock, Replaced, Variants

LOWEST_RANK = 1000  # as deep as a search can be paged
MOST_FACTOR = 100  # of the factor r
RULE_ID = r"^[\w.:-]{1,100}$"  # part of an address


def _says_something(query: str) -> str:
    if query_context(query) is None:
        raise PydanticCustomError("empty", "A query has a word; leave it out for a rule that counts for all")
    return query


Query = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$"), AfterValidator(_says_something)]


class RuleIn(BaseModel):
    """One rule of `PUT /v1/rules`. It means the products that fit all of `product_id`, `brand` and `category` it names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=RULE_ID)] = Field(
        description="Your own name of the rule: letters, digits and . : _ -", examples=["spring-sale"]
    )
    kind: RuleKind
    rank: Annotated[int, Field(ge=1, le=LOWEST_RANK)] | None = Field(
        default=None, validate_default=True, description="Of a pin: the place in the list, from 1"
    )
    factor: Annotated[float, Field(ge=0, le=MOST_FACTOR, allow_inf_nan=False, strict=False)] | None = Field(
        default=None,
        validate_default=True,
        description="Of a boost: what the weight is multiplied by; under 1 it lowers",
    )
    brand: Name | None = None
    category: Annotated[list[Name], Field(min_length=1, max_length=20)] | None = Field(
        default=None,
        description="From the widest on; all that lies below is meant too",
        examples=[["Audio", "Speakers"]],
    )
    product_id: Name | None = Field(default=None, validate_default=True)
    surfaces: Annotated[list[Surface], Field(min_length=1, max_length=4)] | None = Field(
        default=None, description="Where it counts; everywhere when absent"
    )
    query: Query | None = Field(default=None, description="The one search that it counts for; all when absent")
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    note: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, description="For those who read the list of rules"
    )

    @field_validator("rank")
    @classmethod
    def _rank_of_a_pin(cls, rank: int | None, info: ValidationInfo) -> int | None:
        _only_of("pin", "rank", rank, info)
        return rank

    @field_validator("factor")
    @classmethod
    def _factor_of_a_boost(cls, factor: float | None, info: ValidationInfo) -> float | None:
        _only_of("boost", "factor", factor, info)
        return factor

    @field_validator("product_id")
    @classmethod
    def _means_something(cls, product_id: str | None, info: ValidationInfo) -> str | None:
        if product_id is None and info.data.get("kind") == "pin":
            raise PydanticCustomError("bad_match", "A pin names its product: one place holds one product")
        named = (product_id, info.data.get("brand"), info.data.get("category"))
        if all(each is None for each in named) and {"brand", "category"} <= info.data.keys():
            raise PydanticCustomError("bad_match", "Say which products: product_id, brand or category")
        return product_id

    @field_validator("query")
    @classmethod
    def _of_search(cls, query: str | None, info: ValidationInfo) -> str | None:
        surfaces = info.data.get("surfaces")
        if query is not None and surfaces is not None and set(surfaces) != {"search"}:
            raise PydanticCustomError("bad_match", "A query is asked on the surface search alone; leave surfaces out")
        return query

    @field_validator("ends_at")
    @classmethod
    def _ends_later(cls, ends_at: datetime | None, info: ValidationInfo) -> datetime | None:
        starts_at = info.data.get("starts_at")
        if ends_at is not None and starts_at is not None and ends_at <= starts_at:
            raise PydanticCustomError("bad_time", "A rule ends after it starts")
        return ends_at


def _only_of(kind: str, name: str, value: float | None, info: ValidationInfo) -> None:
    """Check a member that rules of one kind have, and no others."""
    given = info.data.get("kind", kind)  # a bad kind is an error of its own
    if given == kind and value is None:
        raise PydanticCustomError(f"bad_{name}", f"A {kind} says its {name}")
    if given != kind and value is not None:
        raise PydanticCustomError(f"bad_{name}", f"Only a {kind} has a {name}")


def rule_set(given: RuleIn) -> RuleSet:
    """The event that says what was given."""
    context = None if given.query is None else query_context(given.query)
    return RuleSet(
        rule_id=given.id,
        kind=given.kind,
        rank=given.rank,
        factor=given.factor,
        product_id=given.product_id,
        brand=given.brand,
        category=given.category,
        query=given.query,
        context_key=context.key if context else None,
        surfaces=None if given.surfaces is None else sorted(set(given.surfaces)),
        starts_at=given.starts_at.isoformat() if given.starts_at else None,
        ends_at=given.ends_at.isoformat() if given.ends_at else None,
        note=given.note or None,
    )


class ListSettingsIn(BaseModel):
    """How lists treat products out of stock, variants of one product, and products that another one replaces."""

    model_config = ConfigDict(extra="forbid", strict=True)

    out_of_stock: OutOfStock
    variants: Variants
    replaced: Replaced


class SearchSettingsIn(ListSettingsIn):
    """Of searches: by default a search lists all that its score says."""

    out_of_stock: OutOfStock = SEARCH.out_of_stock
    variants: Variants = SEARCH.variants
    replaced: Replaced = SEARCH.replaced


class RecommendationSettingsIn(ListSettingsIn):
    """Of recommendations on every surface: by default what is out of stock goes last, and no product is there twice."""

    out_of_stock: OutOfStock = RECOMMENDATIONS.out_of_stock
    variants: Variants = RECOMMENDATIONS.variants
    replaced: Replaced = RECOMMENDATIONS.replaced


class ArrangementIn(BaseModel):
    """The body of `PUT /v1/arrangement`: the whole of it; what is absent is as it is by default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    search: SearchSettingsIn = SearchSettingsIn()
    recommendations: RecommendationSettingsIn = RecommendationSettingsIn()
