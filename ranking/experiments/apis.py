"""The calls about experiments. Each makes one call into the domain."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ranking.experiments import schemas
from ranking.experiments.inputs import ExperimentIn, StopIn, experiment_read, stop_read
from ranking.experiments.selectors import experiment_answer, experiments_answer
from ranking.experiments.services import experiment_start, experiment_stop


def _shop(request: Request) -> int:
    key: Any = request.auth
    return int(key.shop_id)


class ExperimentsApi(APIView):
    """A/B experiments by shopper, and interleaving of two rankings: all that were started, and a new one.

    Who asks without a shopper's id is in none. One runs on a surface at a time. The first variant is control.
    """

    required_scope = "operate"

    @extend_schema(operation_id="experiments", tags=["experiments"], responses=schemas.ExperimentsOut)
    def get(self, request: Request) -> Response:
        return Response(experiments_answer(shop_id=_shop(request)))

    @extend_schema(
        operation_id="experiment_start",
        tags=["experiments"],
        request=ExperimentIn,
        responses={201: schemas.StartedOut},
    )
    def post(self, request: Request) -> Response:
        given = experiment_read(request.data)
        started = experiment_start(shop_id=_shop(request), given=given, now=timezone.now())
        return Response({"id": started.id, "receipt": started.receipt}, status=201)


class ExperimentApi(APIView):
    """One experiment: what its variants' shoppers did, and intervals of how that differs which hold however often one looks."""

    required_scope = "operate"

    @extend_schema(operation_id="experiment", tags=["experiments"], responses=schemas.ExperimentReadOut)
    def get(self, request: Request, id: str) -> Response:
        return Response(experiment_answer(shop_id=_shop(request), id_=id))


class ExperimentStopApi(APIView):
    """End an experiment, so that its surface is as without it; or one of its variants."""

    required_scope = "operate"

    @extend_schema(
        operation_id="experiment_stop", tags=["experiments"], request=StopIn, responses=schemas.StoppedOut
    )  # fmt: skip
    def post(self, request: Request, id: str) -> Response:
        given = stop_read(request.data)
        receipt = experiment_stop(
            shop_id=_shop(request), id_=id, variant=given.variant, detail=given.detail, now=timezone.now()
        )
        return Response({"receipt": receipt})
