"""The calls of feedback. Each makes one call into the domain."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventlog.receipts import receipt_visible
from eventlog.rejections import batch_answer
from feedback import schemas
from feedback.erasure import shopper_erase
from feedback.services import events_record


class EventsApi(APIView):
    """What shoppers saw and did, up to 1,000 events; a bad one is refused alone.

    Sending a batch again changes nothing. An event counts from the earlier of its `occurred_at` and its arrival, so a
    clock that runs ahead gains nothing; before 1970 is `bad_time`. Products may be unknown yet. From a page,
    `navigator.sendBeacon` sends the same as text/plain with the beacon's key as member `key` of the body.
    """

    required_scope = ("events", "beacon")

    @extend_schema(
        operation_id="events_record",
        tags=["events"],
        request=schemas.EventsIn,
        responses=schemas.EventsOut,
        examples=[schemas.EVENTS_EXAMPLE, schemas.OUTCOME_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        result = events_record(shop_id=_shop(request), items=schemas.events_of(request.data), now=timezone.now())
        return Response(batch_answer(result))


class ReceiptApi(APIView):
    """Are these events in the rankings yet; with `wait`, tell as soon as they are."""

    required_scope = ("events", "catalog", "operate", "search")  # search: a page that waits for its own click

    @extend_schema(
        operation_id="receipt_read",
        tags=["events"],
        responses=schemas.ReceiptOut,
        parameters=[schemas.WAIT],
    )
    def get(self, request: Request, receipt: str) -> Response:
        wait = schemas.wait_seconds(request.query_params.get("wait"))
        return Response(receipt_visible(shop_id=_shop(request), receipt=receipt, wait_seconds=wait))


class ShopperApi(APIView):
    """One shopper, who can be erased and nothing else."""

    required_scope = "operate"

    @extend_schema(
        operation_id="shopper_erase",
        tags=["events"],
        parameters=[schemas.SHOPPER_ID],
        responses={202: schemas.ErasedOut},
    )
    def delete(self, request: Request, shopper_id: str) -> Response:
        """Erase a shopper, once and for all: nothing can say any more which events were this one's.

        One who is not known, or erased already, is answered alike. What comes later under the same id is somebody new.
        """
        erasure = shopper_erase(shop_id=_shop(request), shopper_id=shopper_id, now=timezone.now())
        return Response({"receipt": erasure.receipt}, status=202)


def _shop(request: Request) -> int:
    key: Any = request.auth
    return int(key.shop_id)
