"""The calls of insights."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from insights.freshness import freshness


class LagOut(BaseModel):
    events: int
    seconds: float


class PercentilesOut(BaseModel):
    p50: float
    p95: float
    p99: float
    count: int


class FreshnessOut(BaseModel):
    position: int
    pending: int
    lag: dict[str, LagOut]
    time_to_visible: dict[str, PercentilesOut]
    fresh_share: float | None
    vectors_current: float | None


class FreshnessApi(APIView):
    """How fresh the shop's answers are: time to visible by kind of change, lag, share of fresh impressions."""

    required_scope = ("operate", "search")

    @extend_schema(operation_id="freshness", tags=["freshness"], responses=FreshnessOut)
    def get(self, request: Request) -> Response:
        key: Any = request.auth
        return Response(freshness(shop_id=key.shop_id, now=timezone.now()))
