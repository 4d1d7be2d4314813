"""Shapes of feedback's bodies and answers, for the OpenAPI document and for reading the envelope of a batch."""

from __future__ import annotations

import math
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventlog.errors import FreshetError
from eventlog.rejections import rejection_of
from feedback.inputs import EventIn
from feedback.services import MAX_EVENTS

MAX_WAIT_SECONDS = 10.0


class BadBody(FreshetError):
    """The body is {"events": [...]}, with up to 1,000 events."""

    code = "bad_body"


class BadWait(FreshetError):
    """`wait` is a number of seconds from 0 to 10."""

    code = "bad_wait"


class EventsIn(BaseModel):
    """A batch of what shoppers saw and did."""

    events: list[EventIn] = Field(max_length=MAX_EVENTS)
    key: str | None = Field(default=None, description="A beacon's key; pages cannot set headers with sendBeacon")


class EventRejection(BaseModel):
    """Why an item was refused."""

    index: int = Field(description="From 0, in the order given")
    code: str = Field(examples=["bad_time"])
    field: str | None = Field(default=None, examples=["occurred_at"])
    detail: str


class EventsOut(BaseModel):
    """What became of a batch: each item was accepted, known before, or refused."""

    accepted: int
    duplicates: int
    rejected: list[EventRejection]
    receipt: str = Field(description="For GET /v1/receipts/{receipt}")


class ReceiptOut(BaseModel):
    """Whether every ranking reflects the events of a receipt."""

    visible: bool
    position: int | None = Field(description="Of the newest of them in the log; null: not sequenced yet")
    waited_seconds: float


class ErasedOut(BaseModel):
    """A receipt, the same whether or not there was anybody to erase."""

    receipt: str = Field(description="For GET /v1/receipts/{receipt}: visible when no read model links the shopper")


EVENTS_EXAMPLE = OpenApiExample(
    "An impression and a click",
    request_only=True,
    value={
        "events": [
            {
                "event_id": "6a1f0c52-7b1e-4b0e-9a57-0f6f1f2d8c01",
                "kind": "impression",
                "occurred_at": "2026-11-23T10:00:00Z",
                "shopper_id": "u-81",
                "session_id": "s-3",
                "query": "bluetooth speaker",
                "items": ["1993197", "78503000"],
            },
            {
                "event_id": "6a20b1d4-12f8-4d57-8a3b-53c1a7c1d902",
                "kind": "click",
                "occurred_at": "2026-11-23T10:00:04Z",
                "shopper_id": "u-81",
                "session_id": "s-3",
                "product_id": "1993197",
                "query": "bluetooth speaker",
                "rank": 1,
            },
        ]
    },
)
OUTCOME_EXAMPLE = OpenApiExample(
    "One of two refused",
    response_only=True,
    value={
        "accepted": 1,
        "duplicates": 0,
        "rejected": [
            {
                "index": 1,
                "code": "bad_time",
                "field": "occurred_at",
                "detail": "This should be a time with its zone, ISO 8601, such as 2026-11-23T10:00:00Z.",
            }
        ],
        "receipt": "WzEsNDJd:Zm9y...",
    },
)
SHOPPER_ID = OpenApiParameter(
    "shopper_id",
    {"type": "string", "minLength": 1, "maxLength": 200},
    OpenApiParameter.PATH,
    description="The shop's own id, as in events; a slash in it as %2F.",
)
WAIT = OpenApiParameter(
    "wait",
    {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0},
    description="Seconds to wait for it.",
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    events: list[Any]
    key: Any = None  # of a beacon; the header goes first when both are sent


def events_of(body: Any) -> list[Any]:
    """Take the items out of a body, unchecked. Raises BadBody."""
    try:
        return _Body.model_validate(body).events
    except ValidationError as error:
        wrong = rejection_of(error, model=_Body)
        raise BadBody(wrong.detail, field=wrong.field) from None


def wait_seconds(text: str | None) -> float:
    """Read how long to wait; not at all when nothing is said. Raises BadWait."""
    try:
        seconds = float(text or 0)
    except ValueError:
        raise BadWait(field="wait") from None
    if not (math.isfinite(seconds) and 0.0 <= seconds <= MAX_WAIT_SECONDS):
        raise BadWait(field="wait")
    return seconds
