"""The calls of ranking. Each makes one call into the domain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventlog.receipts import receipt_make
from eventlog.rejections import batch_answer
from feedback.privacy import shopper_hash, subject_reference
from feedback.ranking_token import BadToken
from ranking import schemas
from ranking.cadence import learning_of, learning_set
from ranking.inputs import check_names, query_text, search_read
from ranking.judgements import judgements_of, judgements_record
from ranking.recommendation_inputs import recommendation_read
from ranking.recommending import RecommendRequest, recommend
from ranking.registry import model_promote, model_rollback
from ranking.selectors import learning_answer, models_answer, weights_answer
from ranking.services import weights_put
from ranking.serving import SearchRequest, search
from ranking.versions import ranking_again

Asked = TypeVar("Asked", SearchRequest, RecommendRequest)


def _key(request: Request) -> Any:
    """The API key that asks, as config made it; ranking knows only that it has a shop_id and checks shoppers."""
    return request.auth


def _by_shopper(request: Request, asked: Asked) -> Asked:
    """The same, asked by the shopper whom the query string names, if it names one. Raises ShopperNotSigned."""
    shopper_id = request.query_params.get("shopper_id")
    if not shopper_id:
        return asked
    _key(request).check_shopper(shopper_id, request.query_params.get("shopper_signature"))
    return replace(
        asked,
        subject=subject_reference(shop_id=asked.shop_id, raw_id=shopper_id),
        shopper=shopper_hash(asked.shop_id, shopper_id),
    )


class SearchApi(APIView):
    """Products for a query, best first by relevance × weight; the answer says what it was made from."""

    required_scope = "search"

    @extend_schema(operation_id="search", tags=["search"], parameters=schemas.SEARCH, responses=schemas.Answer)
    def get(self, request: Request) -> Response:
        asked = search_read(request.query_params, shop_id=_key(request).shop_id, now=timezone.now())
        return Response(search(_by_shopper(request, asked)))


class RecommendationsApi(APIView):
    """Products for a home page, a product's page or a basket, best first by relevance × weight.

    A shopper who is not known, a product that nobody visited and a shop without feedback get an answer too.
    """

    required_scope = "search"

    @extend_schema(
        operation_id="recommendations",
        tags=["recommendations"],
        parameters=schemas.RECOMMENDATIONS,
        responses=schemas.Recommendations,
    )
    def get(self, request: Request) -> Response:
        asked = recommendation_read(request.query_params, shop_id=_key(request).shop_id, now=timezone.now())
        return Response(recommend(_by_shopper(request, asked)))


class RankingApi(APIView):
    """An answer made again from its token, as it was: same items, same order, same scores."""

    required_scope = "search"

    @extend_schema(operation_id="ranking_again", tags=["search"], responses=schemas.Answer)
    def get(self, request: Request, token: str) -> Response:
        return Response(ranking_again(shop_id=_key(request).shop_id, token=token))


class RankingsApi(APIView):
    """As `GET /v1/rankings/{token}`, for tokens that are too long for a proxy's address line."""

    required_scope = "search"

    @extend_schema(
        operation_id="ranking_again_by_body", tags=["search"], request=schemas.TokenIn, responses=schemas.Answer
    )
    def post(self, request: Request) -> Response:
        token = request.data.get("token") if isinstance(request.data, dict) else None
        if not isinstance(token, str):
            raise BadToken('The body is {"token": "..."}.', field="token")
        return Response(ranking_again(shop_id=_key(request).shop_id, token=token))


class WeightsApi(APIView):
    """The factor r of a product, set by an operator; and what the three factors are now."""

    required_scope = "operate"

    @extend_schema(
        operation_id="weights_set", tags=["weights"], request=schemas.WeightsIn, responses=schemas.BatchAnswer
    )
    def put(self, request: Request) -> Response:
        return Response(weights_put(shop_id=_key(request).shop_id, body=request.data, now=timezone.now()))

    @extend_schema(
        operation_id="weights_get", tags=["weights"], parameters=schemas.WEIGHTS, responses=schemas.WeightOut
    )
    def get(self, request: Request) -> Response:
        params = request.query_params
        check_names(params, frozenset({"product_id", "query"}))
        query = query_text(params["query"], field="query") if "query" in params else None
        product_id = params.get("product_id", "")
        now = timezone.now().timestamp()
        return Response(weights_answer(shop_id=_key(request).shop_id, product_id=product_id, query=query, now=now))


class JudgementsApi(APIView):
    """How well products answer queries, from 0 (not at all) to 3 (just what was meant), up to 1,000 judgements.

    The newest rating of a query and product counts, one that is sent again changes nothing, and a bad one is refused
    alone. Products may be unknown yet. No ranking changes by it: models learn from the list, and are judged by it.
    """

    required_scope = "catalog"  # those who know the products judge them; operators decide what a model does with it

    @extend_schema(
        operation_id="judgments_record",
        tags=["judgments"],
        request=schemas.JudgementsIn,
        responses=schemas.BatchAnswer,
    )
    def post(self, request: Request) -> Response:
        items = judgements_of(request.data)
        result = judgements_record(shop_id=_key(request).shop_id, items=items, now=timezone.now())
        return Response(batch_answer(result))


class ModelsApi(APIView):
    """Every model version: what it was trained on, how it did, what serves."""

    required_scope = "operate"

    @extend_schema(operation_id="models", tags=["models"], responses=schemas.ModelsOut)
    def get(self, request: Request) -> Response:
        return Response(models_answer(shop_id=_key(request).shop_id))


class PromoteApi(APIView):
    """Let a version serve; every process has it within seconds."""

    required_scope = "operate"

    @extend_schema(operation_id="model_promote", tags=["models"], request=None, responses=schemas.ServingOut)
    def post(self, request: Request, version: str) -> Response:
        shop_id = _key(request).shop_id
        model_promote(shop_id=shop_id, version=version, reason="promoted by an operator", now=timezone.now())
        return Response({"serving": version})


class RollbackApi(APIView):
    """Let the version serve again that served before."""

    required_scope = "operate"

    @extend_schema(operation_id="model_rollback", tags=["models"], request=None, responses=schemas.ServingOut)
    def post(self, request: Request) -> Response:
        return Response({"serving": model_rollback(shop_id=_key(request).shop_id, now=timezone.now())})


class LearningApi(APIView):
    """How often the shop makes model versions by itself.

    `live`: whenever enough click-throughs have closed; `daily`: one a day at most; `frozen`: none. After three versions
    that the gate refused in a row a version waits for twice the click-throughs, then four and eight times, until one is
    promoted (`slowdown`).
    """

    required_scope = "operate"

    @extend_schema(operation_id="learning_get", tags=["models"], responses=schemas.LearningOut)
    def get(self, request: Request) -> Response:
        return Response(learning_answer(shop_id=_key(request).shop_id))

    @extend_schema(
        operation_id="learning_set", tags=["models"], request=schemas.LearningIn, responses=schemas.LearningSetOut
    )
    def put(self, request: Request) -> Response:
        shop_id, learning = _key(request).shop_id, learning_of(request.data)
        row_id = learning_set(shop_id=shop_id, learning=learning, now=timezone.now())
        return Response({"learning": learning, "receipt": receipt_make(shop_id=shop_id, row_id=row_id)})
