"""Rates, signatures and what a key allows: pure parts."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from config.api.permissions import scopes_for
from config.api.principal import BadRate, Principal, Rate, ShopperNotSigned, shopper_signature


def principal(**changes: object) -> Principal:
    known: dict[str, object] = {
        "key_id": 1,
        "shop_id": 1,
        "scopes": frozenset({"search"}),
        "public": True,
        "rate": None,
        "allowed_origins": frozenset({"https://shop.example"}),
        "signing_secret": "secret",
    }
    return Principal(**(known | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "rate"), [("20/s", Rate(20, 1)), ("600/min", Rate(600, 60)), (" 5/h", Rate(5, 3600))])
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "20", "0/s", "-1/s", "x/s", "20/", "20/y", "٣/s"])
def test_a_bad_rate_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadRate, match="20/s"):
        Rate.parse(text)


def test_a_signature_is_the_hmac_that_any_server_can_make() -> None:
    expected = hmac.new(b"secret", "顾客-81".encode(), hashlib.sha256).hexdigest()
    assert shopper_signature("secret", "顾客-81") == expected


def test_a_public_key_takes_a_signed_shopper_and_no_other() -> None:
    key = principal()
    key.check_shopper("u-81", shopper_signature("secret", "u-81"))

    for signature in (None, "", "é", shopper_signature("secret", "u-82")):
        with pytest.raises(ShopperNotSigned):
            key.check_shopper("u-81", signature)


def test_a_secret_key_vouches_for_its_shoppers_itself() -> None:
    principal(public=False).check_shopper("u-81", None)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://shop.example", True),
        ("http://shop.example", False),
        ("https://shop.example.evil", False),
        ("null", False),
    ],
)
def test_only_the_named_origins_are_allowed(origin: str, allowed: bool) -> None:
    assert principal().allows_origin(origin) is allowed


def test_a_head_request_needs_the_scope_of_get_and_an_unknown_method_none() -> None:
    class View:
        required_scope = {"GET": "search", "POST": ("events", "beacon")}  # noqa: RUF012

    assert scopes_for(View, "HEAD") == ("search",)
    assert scopes_for(View, "POST") == ("events", "beacon")
    assert scopes_for(View, "DELETE") == ()
