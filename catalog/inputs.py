"""What a shop may say about a product, checked field by field. Texts stay verbatim: HTML, SQL, emoji, any script."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_PRICE = 1e9
MAX_NUMBER = 1e15  # beyond, a double no longer tells whole numbers apart
MAX_ATTRIBUTES, MAX_ATTRIBUTE_VALUES = 300, 1000
MAX_ATTRIBUTE_NAME, MAX_ATTRIBUTE_TEXT, MAX_ATTRIBUTES_TEXT = 100, 10_000, 100_000
# ids that end like the address of a description could not be told from it: a server sees %2F and / alike
_ADDRESS_ENDS = re.compile(r"/descriptions(/\d+/restore)?/?\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab and line ends; PostgreSQL refuses U+0000
_CONTROL_OR_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_text(value: str) -> str:
    if found := _CONTROL.search(value):
        raise PydanticCustomError(
            "bad_text", "Control character U+{code} at {at}", {"code": f"{ord(found[0]):04X}", "at": found.start()}
        )
    return value


def _line(value: str) -> str:
    if found := _CONTROL_OR_BREAK.search(value):
        raise PydanticCustomError(
            "bad_text", "Control character U+{code} at {at}", {"code": f"{ord(found[0]):04X}", "at": found.start()}
        )
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty", "This should hold more than spaces")
    return value


def _product_id(value: str) -> str:
    if _ADDRESS_ENDS.search(value):
        raise PydanticCustomError("bad_product_id", "An id may not end in /descriptions or /descriptions/<n>/restore")
    return value


def _image_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", value)
    except ValueError:
        fine = False
    if not fine:
        raise PydanticCustomError("bad_url", "This should be an address that starts with http:// or https://")
    return value


def _moment(value: str) -> str:
    """Bring a date to YYYY-MM-DD and a moment to ISO 8601 in UTC; without an offset it is UTC."""
    try:
        if len(value) <= 10:
            day = date.fromisoformat(value)
            if 1000 <= day.year < 3000:
                return day.isoformat()
        else:
            moment = datetime.fromisoformat(value)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            if 1000 <= moment.year < 3000:
                return moment.isoformat()
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError(
        "bad_time", "This should be a date such as 2019-03-01 or a time such as 2019-03-01T10:00:00Z"
    )


def _attributes(given: dict[str, Any]) -> dict[str, Any]:
    """Names to texts, numbers, booleans or lists of these; null means the attribute is not given."""
    if len(given) > MAX_ATTRIBUTES:
        raise PydanticCustomError("too_many", "At most {most} attributes", {"most": MAX_ATTRIBUTES})
    length = 0
    for name, value in given.items():
        if not name or len(name) > MAX_ATTRIBUTE_NAME:
            raise PydanticCustomError("too_long", "A name has 1 to {most} characters", {"most": MAX_ATTRIBUTE_NAME})
        _checked_text(name, name)
        length += len(name) + _attribute_length(name, value)
    if length > MAX_ATTRIBUTES_TEXT:
        raise PydanticCustomError("too_long", "At most {most} characters in all", {"most": MAX_ATTRIBUTES_TEXT})
    return {name: value for name, value in given.items() if value is not None}


def _attribute_length(name: str, value: Any) -> int:
    """Check one attribute and return its length in characters."""
    if isinstance(value, list):
        if len(value) > MAX_ATTRIBUTE_VALUES:
            raise PydanticCustomError(
                "too_many", "{name} holds more than {most} values", {"name": name, "most": MAX_ATTRIBUTE_VALUES}
            )
        return sum(_scalar_length(name, each) for each in value)
    return 0 if value is None else _scalar_length(name, value)


def _scalar_length(name: str, value: Any) -> int:
    if isinstance(value, str):
        if len(value) > MAX_ATTRIBUTE_TEXT:
            raise PydanticCustomError(
                "too_long", "{name} has more than {most} characters", {"name": name, "most": MAX_ATTRIBUTE_TEXT}
            )
        _checked_text(name, value)
        return len(value)
    if isinstance(value, bool):
        return 5
    if isinstance(value, int | float):
        if abs(value) > MAX_NUMBER or not math.isfinite(value):  # in this order: a huge integer is no double
            raise PydanticCustomError("not_finite", "{name} is no number below 1e15", {"name": name})
        return 20
    raise PydanticCustomError(
        "too_deep", "{name} should be a text, a number, true, false or a list of these", {"name": name}
    )


def _checked_text(name: str, value: str) -> None:
    if _CONTROL.search(value):
        raise PydanticCustomError("bad_text", "{name} holds a control character", {"name": _fit(name)})
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PydanticCustomError(
                "bad_text", "{name} holds half of a surrogate pair", {"name": _fit(name)}
            ) from None


def _fit(name: str) -> str:
    return name.encode(errors="replace").decode()


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_line)]
ProductId = Annotated[Name, AfterValidator(_product_id)]


class RelationIn(BaseModel):
    """How a product stands to another."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["accessory_of", "variant_of"])]
    product_id: ProductId


class DescriptionIn(BaseModel):
    """What describes a product: the fields of a description version."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_text), AfterValidator(_not_blank)]
    description: Annotated[str, Field(max_length=20_000), AfterValidator(check_text)] | None = None
    language: Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = Field(
        default=None, description="Language of the texts, BCP 47", examples=["en", "zh-Hans"]
    )
    brand: Name | None = None
    category: Annotated[list[Name], Field(max_length=20)] | None = Field(
        default=None, description="From the widest to the narrowest", examples=[["Audio", "Speakers"]]
    )
    attributes: Annotated[dict[str, Any], AfterValidator(_attributes)] | None = Field(
        default=None, description="Texts, numbers, booleans, or lists of these", examples=[{"colour": "Black"}]
    )
    image_url: Annotated[str, Field(max_length=2000), AfterValidator(_line), AfterValidator(_image_url)] | None = None
    released_at: Annotated[str, Field(max_length=40), AfterValidator(_moment)] | None = Field(
        default=None, description="A date or a time, ISO 8601; without an offset it is UTC", examples=["2019-03-01"]
    )
    relations: Annotated[list[RelationIn], Field(max_length=200)] | None = None


class ProductIn(DescriptionIn):
    """A whole product. A field that is absent or null is emptied; without `in_stock` the product is in stock."""

    product_id: ProductId = Field(description="The shop's own id of the product", examples=["1993197"])
    price: Annotated[float, Field(ge=0, le=MAX_PRICE, allow_inf_nan=False)] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(
        default=None, description="ISO 4217", examples=["EUR"]
    )
    in_stock: bool | None = None
