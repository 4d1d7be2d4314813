"""A point in time as callers give it: with an offset, of any time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)  # PostgreSQL knows no time zone further than 16 hours from Greenwich
    except OverflowError:
        raise PydanticCustomError("bad_time", "Input should be a time between the years 1 and 9999") from None


Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_utc)]
