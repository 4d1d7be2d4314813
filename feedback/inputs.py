"""What a shop may say about its shoppers, checked field by field, and how a refusal is worded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from eventlog.rejections import Rejection, rejection_of
from feedback.events import INTERACTION_KINDS, InteractionKind

MAX_ITEMS = 200  # products of one impression; an answer has at most 100
MAX_QUERY = 1_000
MAX_RANK = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_NUL = r"^[^\x00]*$"  # the one character that PostgreSQL cannot hold


def _moment(value: object) -> datetime:
    """Read ISO 8601 with a zone. Any year from 1970 to 9999 will do: a clock that runs ahead gains nothing by it."""
    moment = None
    if isinstance(value, str):
        with suppress(ValueError, OverflowError):  # Overflow: the year 10000 in UTC
            if (given := datetime.fromisoformat(value)).tzinfo:
                moment = given.astimezone(UTC)
    if moment is None:
        raise PydanticCustomError(
            "bad_time", "This should be a time with its zone, ISO 8601, such as 2026-11-23T10:00:00Z"
        )
    if moment < _EPOCH:
        raise PydanticCustomError("bad_time", "A time before 1970 cannot be kept")
    return moment


Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_NUL)]
Moment: TypeAlias = Annotated[
    datetime, PlainValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
Rank: TypeAlias = Annotated[int, Field(ge=1, le=MAX_RANK)]


class _EventIn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: Text = Field(
        description="Yours; sending it again changes nothing. A UUID, or any text.", examples=["6a1f"]
    )
    occurred_at: Moment
    shopper_id: Text | None = Field(default=None, description="Kept as a keyed hash only")
    session_id: Text | None = Field(default=None, description="Kept as a keyed hash only")
    ranking_token: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="`ranking.token` of the answer that was shown"
    )
    query: Annotated[str, Field(max_length=MAX_QUERY, pattern=_NO_NUL)] | None = Field(
        default=None, description="As typed; the token's query is taken when there is a token"
    )


class ImpressionIn(_EventIn):
    """Products were shown."""

    kind: Literal["impression"]
    items: Annotated[list[Text], Field(min_length=1, max_length=MAX_ITEMS)] = Field(description="In the order shown")
    rank: Rank | None = Field(default=None, description="Rank of the first item; the token's, else 1")


class InteractionIn(_EventIn):
    """A shopper did something with a product."""

    kind: InteractionKind
    product_id: Text
    rank: Rank | None = Field(default=None, description="Counts from 1; the token's when not given")
    quantity: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    price: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None


EventIn: TypeAlias = ImpressionIn | InteractionIn
KINDS: tuple[str, ...] = ("impression", *INTERACTION_KINDS)
_MODELS: Mapping[str, type[EventIn]] = {"impression": ImpressionIn} | dict.fromkeys(INTERACTION_KINDS, InteractionIn)


def event_check(item: object, *, index: int) -> EventIn | Rejection:
    """Check one item of a batch; return it, or why it is refused."""
    if not isinstance(item, dict):
        detail = 'An event is a JSON object, such as {"event_id": ..., "kind": "click", ...}.'
        return Rejection(index=index, code="not_an_object", field=None, detail=detail)
    kind = item.get("kind")
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return _kind_refused(kind, index)
    try:
        return model.model_validate(item)
    except ValidationError as error:
        return _in_own_words(rejection_of(error, model=model, index=index))


def _kind_refused(kind: object, index: int) -> Rejection:
    code = "missing_field" if kind is None else "bad_kind"
    near = get_close_matches(kind[:60], KINDS, n=1) if isinstance(kind, str) else []
    detail = f"The kind must be one of {', '.join(KINDS)}" + (f"; did you mean {near[0]!r}?" if near else ".")
    return Rejection(index=index, code=code, field="kind", detail=detail)


# codes that say more than the common ones, by field and common code; None: any code but these two
_OWN_CODES = {
    ("rank", None): "bad_rank",
    ("occurred_at", None): "bad_time",
    ("items", "too_long"): "too_many_items",
    ("query", "too_long"): "query_too_long",
}
_PLAIN = {"missing_field", "unknown_field"}


def _in_own_words(found: Rejection) -> Rejection:
    if found.code == "bad_format":  # the one pattern there is: _NO_NUL
        return replace(found, code="bad_text", detail="The character NUL (U+0000) cannot be kept; leave it out.")
    if found.code in _PLAIN or found.field is None:
        return found
    code = _OWN_CODES.get((found.field, found.code)) or _OWN_CODES.get((found.field, None))
    return replace(found, code=code) if code else found
