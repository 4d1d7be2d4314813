"""What a request changes: pure functions on the heads of a product's streams."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.decisions import (
    ProductHead,
    ProductIsRetired,
    ProductNotFound,
    content_hash,
    decide_offer,
    decide_retire,
    decide_upsert,
    described,
    offered,
)
from catalog.events import OfferChanged, ProductDescribed
from catalog.inputs import ProductIn
from eventlog.events import NewEvent

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
MUG = ProductIn(product_id="mug", title="Stoneware mug", price=14.5, currency="EUR", attributes={"volume_ml": 300})


def upsert(head: ProductHead, product: ProductIn) -> list[NewEvent]:
    return decide_upsert(head, description=described(product, origin="api"), offer=offered(product), now=NOW)


def after(head: ProductHead, events: list[NewEvent]) -> ProductHead:
    """The head as the log leaves it behind these events."""
    for event in events:
        state: dict[str, Any] = event.state or {}
        if isinstance(event.event, ProductDescribed):
            head = replace(head, description_version=head.description_version + 1, description_hash=state["hash"])
        else:
            head = replace(
                head, offer_version=head.offer_version + 1, offer_hash=state["hash"], retired=state["retired"]
            )
    return head


KNOWN = after(ProductHead("mug"), upsert(ProductHead("mug"), MUG))


def test_a_new_product_is_described_and_offered() -> None:
    events = upsert(ProductHead("mug"), MUG)

    assert [(e.stream, e.expected_version) for e in events] == [("description/mug", 0), ("offer/mug", 0)]


def test_an_unchanged_product_changes_nothing() -> None:
    assert upsert(KNOWN, MUG) == []


def test_a_price_change_leaves_the_description_alone() -> None:
    [event] = upsert(KNOWN, MUG.model_copy(update={"price": 15.0}))

    assert event.event == OfferChanged(product_id="mug", price=15.0, currency="EUR", in_stock=True)
    assert event.expected_version == 1


def test_a_new_text_leaves_the_offer_alone() -> None:
    [event] = upsert(KNOWN, MUG.model_copy(update={"title": "Mug"}))

    assert isinstance(event.event, ProductDescribed)
    assert event.expected_version == 1


def test_who_says_it_does_not_matter() -> None:
    assert content_hash(described(MUG, origin="import")) == content_hash(described(MUG, origin="admin"))


def test_a_retired_product_cannot_be_changed_but_retired_again() -> None:
    retired = after(KNOWN, decide_retire(KNOWN, now=NOW))

    assert decide_retire(retired, now=NOW) == []
    with pytest.raises(ProductIsRetired):
        upsert(retired, MUG)


def test_nobody_retires_what_is_not_there() -> None:
    with pytest.raises(ProductNotFound):
        decide_retire(ProductHead("mug"), now=NOW)


def test_an_offer_without_a_word_about_stock_is_in_stock() -> None:
    assert offered(MUG).in_stock is True
    assert decide_offer(KNOWN, offer=replace(offered(MUG), in_stock=False), now=NOW) != []


scalars = st.booleans() | st.text(max_size=8) | st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15)
attributes = st.dictionaries(st.text(min_size=1, max_size=8), scalars | st.lists(scalars, max_size=3), max_size=5)


@given(attributes)
def test_the_hash_survives_the_way_through_json(given: dict[str, Any]) -> None:
    event = ProductDescribed(product_id="mug", title="Mug", attributes=given)
    again = orjson.loads(orjson.dumps(dict(reversed(given.items()))))

    assert content_hash(replace(event, attributes=again)) == content_hash(event)


def test_ten_and_ten_point_nought_are_one_number_and_true_is_none() -> None:
    hashes = {content_hash(ProductDescribed(product_id="m", title="M", attributes={"n": n})) for n in (1, 1.0, True)}

    assert len(hashes) == 2
