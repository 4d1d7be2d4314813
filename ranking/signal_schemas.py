"""Shapes of what is answered about signals and diversity, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class SignalsOut(BaseModel):
    signals: dict[str, float] = Field(
        examples=[{"click": 1.0, "purchase": 10.0, "context_half_life_seconds": 864000.0}]
    )
    defaults: dict[str, float]
    estimate: dict[str, Any] | None = Field(description="What the preview of this table said, where it had one")
    reason: str | None = Field(description="Why it was set without one")
    position: int | None = Field(description="Of the event that set it; null: these are the defaults")
    set_at: str | None


class SignalsSetOut(BaseModel):
    signals: dict[str, float]
    receipt: str


class Figure(BaseModel):
    before: float
    after: float
    difference: float
    low: float = Field(description="Lower end of the 95 % interval of the difference")
    high: float


class MovedOut(BaseModel):
    query: str
    overlap: float = Field(description="Rank-biased overlap of the first ten, 1 the same")
    before: list[str]
    after: list[str]
    entered: list[str]
    left: list[str]


class PreviewOut(BaseModel):
    signals: dict[str, float]
    before: dict[str, float]
    from_: str = Field(alias="from")
    to: str
    from_position: int
    to_position: int
    click_throughs: int
    mrr: Figure
    map_at_5: Figure
    queries: int
    overlap: float
    moved: list[MovedOut] = Field(description="Queries at the end of the range, most moved first")


class DiversityOptionsOut(BaseModel):
    strength: float
    group_by: str
    most_per_group: float | None


class DiversityOut(BaseModel):
    surfaces: dict[str, DiversityOptionsOut]


class DiversitySetOut(BaseModel):
    receipt: str
