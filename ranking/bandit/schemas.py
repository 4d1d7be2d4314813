"""Shapes of what the strategies' calls answer, for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class EstimateOut(BaseModel):
    value: float
    low: float
    high: float


class DifferenceOut(BaseModel):
    serving: float
    candidate: float
    difference: float
    low: float
    high: float
    ess: float


class EvaluationOut(BaseModel):
    units: int = Field(description="Closed trials whose arm was chosen by chance")
    rewarded: int
    without_chance: int
    ess: float = Field(description="Effective sample size")
    rewarded_ess: float
    mean_weight: float
    unseen: float
    logged: EstimateOut = Field(description="What was earned a trial")
    estimates: dict[str, EstimateOut] = Field(description="ips, snips, dr")
    differences: dict[str, DifferenceOut]
    refusal: str | None = Field(description="Why the estimate says too little, if it does")


class ArmOut(BaseModel):
    arm: str
    propensity: float = Field(description="How likely it is shown to the next shopper of this segment")
    trials: int
    trials_remembered: float = Field(description="Of these, what was not forgotten")
    mean: float = Field(description="Of the posterior of its reward, from 0 to 1")
    low: float
    high: float


class SegmentOut(BaseModel):
    segment: str = Field(examples=["known"])
    arms: list[ArmOut]


class SurfaceOut(BaseModel):
    surface: str = Field(examples=["home"])
    explore: float
    fixed: str | None
    off: list[str]
    arms: list[str] = Field(description="What an answer is made by now; the segments name those of the past too")
    trials: int
    segments: list[SegmentOut]
    set_at: datetime | None
    estimate: EvaluationOut | None
    forced: str | None


class StrategiesOut(BaseModel):
    as_of_position: int
    surfaces: list[SurfaceOut]


class StrategySetOut(BaseModel):
    surface: str
    explore: float
    fixed: str | None
    off: list[str]
    estimate: EvaluationOut | None
    receipt: str
