"""What a shop may say about a product, and how precisely it hears what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from catalog.inputs import ProductIn
from eventlog.rejections import Rejection, rejection_of

MUG = {"product_id": "mug", "title": "Stoneware mug"}


def refused(**fields: Any) -> Rejection:
    with pytest.raises(ValidationError) as caught:
        ProductIn.model_validate(MUG | fields)
    return rejection_of(caught.value, model=ProductIn)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"price": float("nan")}, "not_finite", "price"),
        ({"price": float("inf")}, "not_finite", "price"),
        ({"price": -0.01}, "too_small", "price"),
        ({"price": 1e12}, "too_large", "price"),
        ({"price": "39.95"}, "wrong_type", "price"),
        ({"price": True}, "wrong_type", "price"),
        ({"currency": "euro"}, "bad_format", "currency"),
        ({"in_stock": "yes"}, "wrong_type", "in_stock"),
        ({"product_id": 7}, "wrong_type", "product_id"),
        ({"product_id": ""}, "empty", "product_id"),
        ({"product_id": "x" * 201}, "too_long", "product_id"),
        ({"product_id": "a\nb"}, "bad_text", "product_id"),
        ({"product_id": "a/descriptions"}, "bad_product_id", "product_id"),
        ({"product_id": "a/descriptions/3/restore"}, "bad_product_id", "product_id"),
        ({"title": ""}, "empty", "title"),
        ({"title": "  \n"}, "empty", "title"),
        ({"title": None}, "wrong_type", "title"),
        ({"title": "x" * 1001}, "too_long", "title"),
        ({"title": "nul \x00"}, "bad_text", "title"),
        ({"title": "half \ud800"}, "bad_text", "title"),
        ({"description": "x" * 20_001}, "too_long", "description"),
        ({"language": "plain English"}, "bad_format", "language"),
        ({"category": "Audio"}, "wrong_type", "category"),
        ({"category": ["Audio", 7]}, "wrong_type", "category.1"),
        ({"category": ["x"] * 21}, "too_long", "category"),
        ({"image_url": "javascript:alert(1)"}, "bad_url", "image_url"),
        ({"image_url": "https://[broken"}, "bad_url", "image_url"),
        ({"released_at": "2019-02-30"}, "bad_time", "released_at"),
        ({"released_at": "9999-12-31T23:59:59-10:00"}, "bad_time", "released_at"),
        ({"attributes": []}, "not_an_object", "attributes"),
        ({"attributes": {"a": {"b": 1}}}, "too_deep", "attributes"),
        ({"attributes": {"a": [[1]]}}, "too_deep", "attributes"),
        ({"attributes": {"a": float("inf")}}, "not_finite", "attributes"),
        ({"attributes": {"a": 10**40}}, "not_finite", "attributes"),
        ({"attributes": {"a": 10**400}}, "not_finite", "attributes"),
        ({"attributes": {"a": "\x00"}}, "bad_text", "attributes"),
        ({"attributes": {"\udfff": 1}}, "bad_text", "attributes"),
        ({"attributes": {"a": "x" * 10_001}}, "too_long", "attributes"),
        ({"attributes": dict.fromkeys(map(str, range(301)), 1)}, "too_many", "attributes"),
        ({"attributes": {"a": [1] * 1001}}, "too_many", "attributes"),
        ({"relations": [{"kind": "Accessory of", "product_id": "x"}]}, "bad_format", "relations.0.kind"),
        ({"relations": [{"kind": "variant_of"}]}, "missing_field", "relations.0.product_id"),
    ],
)
def test_a_bad_value_is_refused_by_code_and_field(fields: dict[str, Any], code: str, field: str) -> None:
    rejection = refused(**fields)

    assert (rejection.code, rejection.field) == (code, field)


def test_an_unknown_field_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(ValidationError) as caught:
        ProductIn.model_validate({"product_id": "mug", "titel": "Stoneware mug"})
    rejection = rejection_of(caught.value, model=ProductIn, index=3)

    assert (rejection.index, rejection.code, rejection.field) == (3, "unknown_field", "titel")
    assert "did you mean 'title'" in rejection.detail


def test_further_mistakes_are_named() -> None:
    assert refused(price=-1, currency="?").detail.endswith("(also wrong: currency)")


@pytest.mark.parametrize("item", [7, "mug", None, [MUG]])
def test_something_else_than_an_object_is_refused(item: object) -> None:
    with pytest.raises(ValidationError) as caught:
        ProductIn.model_validate(item)

    assert rejection_of(caught.value, model=ProductIn).code == "not_an_object"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "'; DROP TABLE x; --",
        "🎉 <b>",
        "مرحبا بالعالم",
        "青花瓷茶杯",
        "a\tb\r\nc",
        " padded ",
    ],
)
def test_texts_stay_as_they_are(text: str) -> None:
    product = ProductIn.model_validate(
        MUG | {"title": text, "description": text, "attributes": {text: [text, 1, True]}}
    )

    assert (product.title, product.description, product.attributes) == (text, text, {text: [text, 1, True]})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2019-03-01", "2019-03-01"),
        ("20190301", "2019-03-01"),
        ("2019-03-01T10:00:00Z", "2019-03-01T10:00:00+00:00"),
        ("2019-03-01 10:00:00", "2019-03-01T10:00:00+00:00"),
        ("2019-03-01T01:00:00+02:00", "2019-02-28T23:00:00+00:00"),
    ],
)
def test_dates_and_times_are_brought_to_one_form(given: str, kept: str) -> None:
    assert ProductIn.model_validate(MUG | {"released_at": given}).released_at == kept


def test_an_attribute_that_is_null_is_not_given() -> None:
    assert ProductIn.model_validate(MUG | {"attributes": {"a": None, "b": 1}}).attributes == {"b": 1}
