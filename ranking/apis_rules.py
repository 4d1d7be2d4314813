"""The calls of rules. Each makes one call into the domain."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import AwareDatetime, BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventlog.receipts import receipt_make
from eventlog.rejections import batch_answer
from feedback.contexts import query_context
from ranking.inputs import BadParameter, check_names, query_text
from ranking.rules.inputs import ArrangementIn, RuleIn
from ranking.rules.rule import SURFACES, RuleKind, Surface
from ranking.rules.selectors import arrangement_answer, rules_answer
from ranking.rules.services import MOST_RULES, arrangement_put, rule_end, rules_of, rules_put
from ranking.schemas import BatchAnswer


class RulesIn(BaseModel):
    rules: list[RuleIn] = Field(max_length=MOST_RULES)


class RuleOut(BaseModel):
    id: str
    kind: RuleKind
    rank: int | None
    factor: float | None
    product_id: str | None
    brand: str | None
    category: list[str]
    query: str | None
    surfaces: list[Surface]
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    note: str
    set_at: AwareDatetime
    position: int = Field(
        description="Of the event that set it: of two rules that contradict each other the newer counts"
    )
    state: str = Field(description="in_force, scheduled (it starts later) or over")


class RulesOut(BaseModel):
    rules: list[RuleOut]


class RuleEndedOut(BaseModel):
    id: str
    receipt: str


class ArrangementOut(ArrangementIn):
    receipt: str | None = None


_PARAMETERS = [
    OpenApiParameter("surface", OpenApiTypes.STR, description="Only rules that count there.", enum=SURFACES),
    OpenApiParameter("query", OpenApiTypes.STR, description="Only rules that count for this query, or for all."),
]
_RULE_ID = OpenApiParameter("rule_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="Your own id of the rule.")


class RulesApi(APIView):
    """What operators pin, boost and hide. Rules come last: they move what relevance, weights and strategies ranked."""

    required_scope = "operate"

    @extend_schema(operation_id="rules_get", tags=["rules"], parameters=_PARAMETERS, responses=RulesOut)
    def get(self, request: Request) -> Response:
        """The rules that are not ended, newest first, and whether each counts now."""
        params = request.query_params
        check_names(params, frozenset({"surface", "query"}))
        surface = params.get("surface")
        if surface is not None and surface not in SURFACES:
            raise BadParameter(f"surface is one of {', '.join(SURFACES)}, not {surface[:50]!r}.", field="surface")
        context = query_context(query_text(params["query"], field="query")) if "query" in params else None
        found = rules_answer(
            shop_id=_shop(request),
            surface=surface,
            key=context.key if context else None,
            now=timezone.now().timestamp(),
        )
        return Response({"rules": found})

    @extend_schema(operation_id="rules_put", tags=["rules"], request=RulesIn, responses=BatchAnswer)
    def put(self, request: Request) -> Response:
        """Set up to 1,000 rules by their ids; a bad one is refused alone, one that is so already appends nothing.

        Rules that are not sent stay. Of several of one id the last counts.
        """
        result = rules_put(shop_id=_shop(request), items=rules_of(request.data), now=timezone.now())
        return Response(batch_answer(result))


class RuleApi(APIView):
    """One rule."""

    required_scope = "operate"

    @extend_schema(operation_id="rule_end", tags=["rules"], parameters=[_RULE_ID], responses={200: RuleEndedOut})
    def delete(self, request: Request, rule_id: str) -> Response:
        """End a rule: it counts no more. Ending it again changes nothing; a rule of this id can be set again later."""
        row_id = rule_end(shop_id=_shop(request), rule_id=rule_id, now=timezone.now())
        return Response({"id": rule_id, "receipt": receipt_make(shop_id=_shop(request), row_id=row_id)})


class ArrangementApi(APIView):
    """How lists treat products out of stock, variants of one product, and products that another one replaces."""

    required_scope = "operate"

    @extend_schema(operation_id="arrangement_get", tags=["rules"], responses=ArrangementOut)
    def get(self, request: Request) -> Response:
        """The settings for searches, and for recommendations on every surface."""
        check_names(request.query_params, frozenset())
        return Response(arrangement_answer(shop_id=_shop(request)))

    @extend_schema(operation_id="arrangement_set", tags=["rules"], request=ArrangementIn, responses=ArrangementOut)
    def put(self, request: Request) -> Response:
        """Set all of them; what is absent is as it is by default."""
        settings, row_id = arrangement_put(shop_id=_shop(request), body=request.data, now=timezone.now())
        return Response({**settings, "receipt": receipt_make(shop_id=_shop(request), row_id=row_id)})


def _shop(request: Request) -> int:
    key: Any = request.auth
    return int(key.shop_id)
