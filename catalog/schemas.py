"""Shapes of the catalogue's requests and answers, for the OpenAPI document and for checking bodies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from catalog.inputs import DescriptionIn, ProductIn, RelationIn, check_text
from eventlog.errors import FreshetError
from eventlog.rejections import Rejection, rejection_of

MAX_PRODUCTS = 1000


class BadBody(FreshetError):
    """The body should read {"products": [...]}."""

    code = "bad_body"


class TooManyProducts(FreshetError):
    """A call takes up to 1,000 products; send several."""

    code = "too_many_products"


class IfMatchMissing(FreshetError):
    """Send the header If-Match with the description version you started from, as GET gave it in ETag: If-Match: "3"."""

    code = "precondition_required"
    status = 428


class BadIfMatch(FreshetError):
    """If-Match should be one description version in quotation marks, such as "3", or * for whichever is current."""

    code = "bad_if_match"


class ProductsIn(BaseModel):
    """Whole products: a field that is absent or null is emptied; without `in_stock` a product is in stock."""

    products: Annotated[list[ProductIn], Field(max_length=MAX_PRODUCTS)]


class DescriptionChange(DescriptionIn):
    """The fields of a description that change: absent ones stay as they are, null empties one."""

    # the title again, for it may be absent here
    title: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_text)] = ""


class UpsertOut(BaseModel):
    """accepted + duplicates + rejected is the number of products sent; a duplicate says nothing new."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    receipt: str = Field(description="For GET /v1/receipts/{receipt}")


class DescriptionOut(BaseModel):
    """What a description says."""

    title: str
    description: str
    language: str | None
    brand: str | None
    category: list[str]
    attributes: dict[str, Any]
    image_url: str | None
    released_at: str | None
    relations: list[RelationIn]


class ProductOut(DescriptionOut):
    """A product as it is now."""

    product_id: str
    price: float | None
    currency: str | None
    in_stock: bool
    retired_at: datetime | None
    description_version: int
    offer_version: int
    created_at: datetime
    updated_at: datetime


class DescriptionVersionOut(BaseModel):
    """One description version."""

    version: int
    position: int = Field(description="Where it stands in the log")
    recorded_at: datetime
    origin: Literal["api", "import", "admin", "restore"]
    restored_from: int | None
    content: DescriptionOut


class DescriptionsOut(BaseModel):
    """Every description version of a product, newest first; the first is the current one."""

    product_id: str
    versions: list[DescriptionVersionOut]


class RevisedOut(BaseModel):
    """The description version that is current now."""

    product_id: str
    description_version: int
    changed: bool = Field(description="False: the current version says the same already")
    receipt: str


class RetiredOut(BaseModel):
    """The product is never shown again."""

    product_id: str
    receipt: str


_REFUSED = {"index": 7, "code": "too_small", "field": "price", "detail": "Input should be greater than or equal to 0."}
UPSERT_EXAMPLES = [
    OpenApiExample(
        "A product",
        request_only=True,
        value={
            "products": [
                {
                    "product_id": "1993197",
                    "title": "Portable Bluetooth Speaker MBS-100",
                    "description": "Small, loud, and dry when it rains.",
                    "language": "en",
                    "brand": "Trevi",
                    "category": ["Audio", "Speakers"],
                    "price": 39.95,
                    "currency": "EUR",
                    "in_stock": True,
                    "attributes": {"colour": "Black", "power_w": 10},
                    "image_url": "https://shop.example/1993197.jpg",
                    "released_at": "2019-03-01",
                    "relations": [{"kind": "accessory_of", "product_id": "77"}],
                }
            ]
        },
    ),
    OpenApiExample(
        "One new, one as before, one refused",
        response_only=True,
        value={"accepted": 1, "duplicates": 1, "rejected": [_REFUSED], "receipt": "WzEsNDJd:3Gm5..."},
    ),
]
PRODUCT_ID = OpenApiParameter(
    "product_id",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description="The shop's own id, percent-encoded (%2F for a slash)",
)
_COUNT = {"type": "integer", "minimum": 1}
VERSION = OpenApiParameter("version", _COUNT, OpenApiParameter.PATH, description="A description version")


def if_match(*, required: bool) -> OpenApiParameter:
    """Describe the header If-Match."""
    return OpenApiParameter(
        "If-Match",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        required=required,
        description='The description version you started from, as GET gave it in ETag: "3"; * for whichever is current',
        examples=[OpenApiExample("Version 3", value='"3"')],
    )


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    products: list[Any]


def products_of(body: Any) -> list[Any]:
    """Take the items out of a body, unchecked. Raises BadBody, TooManyProducts."""
    try:
        products = _Body.model_validate(body).products
    except ValidationError as error:
        wrong = rejection_of(error, model=_Body)
        raise BadBody(wrong.detail, field=wrong.field) from None
    if len(products) > MAX_PRODUCTS:
        raise TooManyProducts(field="products")
    return products


def object_of(body: Any) -> dict[str, Any]:
    """Take a body that is an object. Raises BadBody."""
    if not isinstance(body, dict):
        raise BadBody('The body should be an object of the fields that change, such as {"title": "..."}.')
    return body


def expected_version(header: str | None, *, required: bool) -> int | None:
    """Read If-Match; None for `*`, and for an absent one that is not required. Raises IfMatchMissing, BadIfMatch."""
    text = (header or "").strip()
    if not text and not required:
        return None
    if not text:
        raise IfMatchMissing(field="If-Match")
    if text == "*":
        return None
    digits = text.removeprefix("W/").strip('"')  # a proxy that compresses weakens the tag it passes on
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise BadIfMatch(field="If-Match")
    return int(digits)
