"""Shapes of the answers about experiments, for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class VariantOut(BaseModel):
    name: str
    settings: dict[str, Any]
    share: float


class ExperimentOut(BaseModel):
    id: str
    name: str
    surface: str
    kind: str
    state: str
    variants: list[VariantOut]
    stopped: list[str] = Field(description="Variants that ended before it: their shoppers see what control's see")
    level: float
    guards: dict[str, float]
    seed: int
    started_at: datetime
    stopped_at: datetime | None
    reason: str | None
    detail: str | None


class ExperimentsOut(BaseModel):
    experiments: list[ExperimentOut]


class SideOut(BaseModel):
    variant: str
    shoppers: int
    requests: int
    figures: dict[str, float] = Field(description="A request: ctr, add_to_cart, conversion, revenue")


class ComparisonOut(BaseModel):
    variant: str
    metric: str
    control: float
    value: float
    difference: float
    low: float | None = Field(description="null: too little is known")
    high: float | None
    verdict: str = Field(examples=["open"], description="better, worse, open")


class PreferenceOut(BaseModel):
    decided: int = Field(description="Lists with more clicks on one ranking's products than on the other's")
    shoppers: int
    preference: float = Field(description="Net wins of the second ranking a decided list, from -1 to 1")
    low: float
    high: float
    p: float = Field(description="Sign test over shoppers; it counts for one look only")
    verdict: str


class ReadoutOut(BaseModel):
    position: int
    requests: int
    variants: list[SideOut]
    comparisons: list[ComparisonOut]
    preference: PreferenceOut | None
    breached: dict[str, str] = Field(description="Variants below a guard, each with the metric that says so")


class ReadingOut(BaseModel):
    position: int
    requests: int
    at: datetime
    figures: dict[str, Any]


class ExperimentReadOut(ExperimentOut):
    readout: ReadoutOut
    readings: list[ReadingOut] = Field(description="Read-outs that were noted, oldest first")


class StartedOut(BaseModel):
    id: str
    receipt: str


class StoppedOut(BaseModel):
    receipt: str
