"""The calls about signals and diversity. Each makes one call into the domain."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventlog.receipts import receipt_make
from ranking import signal_schemas as schemas
from ranking.diversity_setting import DiversityIn, diversities_answer, diversity_set
from ranking.inputs import check_names
from ranking.previewing.service import PreviewIn, preview_post
from ranking.signal_setting import SignalsIn, signals_answer, signals_put


def _shop(request: Request) -> int:
    key: Any = request.auth
    return int(key.shop_id)


class SignalsApi(APIView):
    """What each kind of interaction counts in this shop, for how long, and against how much doubt.

    A table that is set counts for all feedback, what was recorded before as well, from the position of its event on. It is set
    when a preview of exactly this table is known, against the one in force; or by force, with a reason.
    """

    required_scope = "operate"

    @extend_schema(operation_id="signals_get", tags=["signals"], responses=schemas.SignalsOut)
    def get(self, request: Request) -> Response:
        check_names(request.query_params, frozenset())
        return Response(signals_answer(shop_id=_shop(request)))

    @extend_schema(operation_id="signals_set", tags=["signals"], request=SignalsIn, responses=schemas.SignalsSetOut)
    def put(self, request: Request) -> Response:
        return Response(signals_put(shop_id=_shop(request), body=request.data, now=timezone.now()))


class PreviewApi(APIView):
    """What a proposed table would have changed in a past range: by default the last seven days, 500 searches at most.

    The searches are answered again under both tables, each with what was known strictly before it. It takes seconds.
    """

    required_scope = "operate"

    @extend_schema(operation_id="signals_preview", tags=["signals"], request=PreviewIn, responses=schemas.PreviewOut)
    def post(self, request: Request) -> Response:
        return Response(preview_post(shop_id=_shop(request), body=request.data, now=timezone.now()))


class DiversityApi(APIView):
    """How varied the lists of recommendations of each surface are: `strength` of maximal marginal relevance, and at most so
    many products of one brand or category (below 1: a share of the list)."""

    required_scope = "operate"

    @extend_schema(operation_id="diversity_get", tags=["signals"], responses=schemas.DiversityOut)
    def get(self, request: Request) -> Response:
        check_names(request.query_params, frozenset())
        return Response(diversities_answer(shop_id=_shop(request)))

    @extend_schema(
        operation_id="diversity_set", tags=["signals"], request=DiversityIn, responses=schemas.DiversitySetOut
    )
    def put(self, request: Request) -> Response:
        shop_id = _shop(request)
        row_id = diversity_set(shop_id=shop_id, body=request.data, now=timezone.now())
        return Response({"receipt": receipt_make(shop_id=shop_id, row_id=row_id)})
