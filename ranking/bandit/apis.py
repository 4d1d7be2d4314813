"""The calls about strategies. Each makes one call into the domain."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ranking.bandit import schemas
from ranking.bandit.selectors import strategies_answer
from ranking.bandit.services import StrategyIn, strategies_put


def _shop_id(request: Request) -> int:
    key: Any = request.auth  # as config made it
    return int(key.shop_id)


class StrategiesApi(APIView):
    """How each surface chooses among its arms, the mixes of strategies: what is believed of each, and how likely it is shown.

    A change that shows other arms needs its estimate from the log: without one, or against one, it is refused (409) unless `force`
    says why.
    """

    required_scope = "operate"

    @extend_schema(operation_id="strategies_get", tags=["strategies"], responses=schemas.StrategiesOut)
    def get(self, request: Request) -> Response:
        return Response(strategies_answer(shop_id=_shop_id(request)))

    @extend_schema(
        operation_id="strategies_set", tags=["strategies"], request=StrategyIn, responses=schemas.StrategySetOut
    )
    def put(self, request: Request) -> Response:
        return Response(strategies_put(shop_id=_shop_id(request), body=request.data, now=timezone.now()))
