"""What a shop may say about its shoppers, checked field by field, and how a refusal is worded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from feedback.events import INTERACTION_KINDS, InteractionKind

MAX_ITEMS = 200  # products of one impression; an answer has at most 100
MAX_QUERY = 1_000
MAX_RANK = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_NUL = r"^[^\x00]*$"  # the one character that PostgreSQL cannot hold


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one item of a batch was not taken."""

    index: int
    code: str
    field: str | None
    detail: str


class Refused(Exception):
    """An item cannot be taken: caught in this app, and answered with a Refusal."""

    def __init__(self, code: str, field: str | None, detail: str) -> None:
        super().__init__(detail)
        self.code, self.field, self.detail = code, field, detail


def _moment(value: object) -> datetime:
    """Read ISO 8601 with a zone. Any year from 1970 to 9999 will do: a clock that runs ahead gains nothing by it."""
    moment = None
    if isinstance(value, str):
        with suppress(ValueError, OverflowError):  # Overflow: the year 10000 in UTC
            if (given := datetime.fromisoformat(value)).tzinfo:
                moment = given.astimezone(UTC)
    if moment is None:
        raise PydanticCustomError("time", "This should be a time with its zone, ISO 8601, such as 2026-11-23T10:00:00Z")
    if moment < _EPOCH:
        raise PydanticCustomError("time", "A time before 1970 cannot be kept")
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


def event_check(item: object) -> EventIn:
    """Check one item of a batch. Raises Refused."""
    if not isinstance(item, dict):
        raise Refused(
            "not_an_object", None, 'An event is a JSON object, such as {"event_id": ..., "kind": "click", ...}.'
        )
    kind = item.get("kind")
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise _kind_refused(kind)
    try:
        return model.model_validate(item)
    except ValidationError as error:
        raise _refused(error.errors(include_url=False, include_input=False), model) from None


def _kind_refused(kind: object) -> Refused:
    if kind is None:
        return Refused("missing_field", "kind", f"An event needs a kind: {', '.join(KINDS)}.")
    near = _nearest(kind, KINDS) if isinstance(kind, str) else ""
    return Refused("bad_kind", "kind", f"The kind must be one of {', '.join(KINDS)}.{near}")


_CODES = {
    "missing": "missing_field",
    "too_long": "too_many_items",
    "too_short": "missing_field",
    "string_too_long": "too_long",
    "string_too_short": "empty",
    "string_pattern_mismatch": "bad_text",
    "string_unicode": "bad_text",
    "time": "bad_time",
}
_DETAILS = {
    "missing": "This field is required.",
    "too_short": "At least one product must have been shown.",
    "string_pattern_mismatch": "The character NUL (U+0000) cannot be kept; leave it out.",
    "string_unicode": "This holds half of a surrogate pair, which is no character.",
}


def _refused(errors: list[ErrorDetails], model: type[BaseModel]) -> Refused:
    """Translate pydantic's first finding; a misspelt name goes first, since it explains the missing one."""
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    kind, location = first["type"], first["loc"] or ("",)  # a name that is no text has no place
    name, field = _printable(str(location[0])), _printable(".".join(str(part) for part in location))
    if kind == "extra_forbidden":
        return Refused(
            "unknown_field", name, f"An event of this kind has no field {name}.{_nearest(name, model.model_fields)}"
        )
    code = "query_too_long" if (kind, name) == ("string_too_long", "query") else _CODES.get(kind, f"bad_{name}")
    return Refused(code, field or None, _DETAILS.get(kind) or f"{first['msg']}.")


def _nearest(name: str, known: Any) -> str:
    near = get_close_matches(name[:60], list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def _printable(name: str) -> str:
    """A sender's name for a field, fit to be sent back."""
    return name[:80].encode(errors="replace").decode()
