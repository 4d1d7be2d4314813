"""Erasing a shopper: afterwards no column of any table says who it was, and no key that is left opens anything."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from eventlog.database import rows, scalar
from eventlog.receipts import receipt_visible
from eventlog.selectors import last_position, read_types
from feedback.erasure import BadShopperId
from feedback.events import ShopperErased
from feedback.privacy import session_hash, shopper_hash
from feedback.recording import content_hash
from feedback.selectors import closed_click_throughs, closed_positions_of, closed_positions_of_erased
from feedback.services import events_record
from tests.cast import SHOP_ID, Clock, Shopper, SmallShop, drain
from tests.erasure_cast import LONG_AGO, alice_hash, erase, opened, places, subject_of, token


@pytest.fixture
def clock() -> Clock:
    return Clock(LONG_AGO)


@pytest.fixture
def visit(shop: SmallShop, alice: Shopper, bob: Shopper, clock: Clock) -> list[dict[str, Any]]:
    """What Alice did: before the shop knew who it was, in two searches of which one is still open, and beside Bob."""
    anonymous = alice.views("mug", session_id="s-3", query="cup")
    del anonymous["shopper_id"]
    events = [
        anonymous,
        alice.sees(["mug", "beaker"], ranking_token=token(1), session_id="s-3"),
        alice.clicks("beaker", ranking_token=token(1), session_id="s-3"),
        alice.clicks("teapot", query="tea"),
    ]
    shop.record(*events, bob.sees(["mug", "beaker"], ranking_token=token(1)), bob.clicks("mug", ranking_token=token(1)))
    clock.tick(seconds=1800)
    late = [alice.sees(["kettle"], ranking_token=token(2)), alice.clicks("kettle", ranking_token=token(2))]
    shop.record(*late, alice.buys("mug", ranking_token=token(3)), bob.views("mug"))
    return [*events, *late]


def test_no_column_of_no_table_says_who_it_was(visit: list[dict[str, Any]]) -> None:
    subjects = [subject_of(alice_hash()), subject_of(session_hash(SHOP_ID, "s-3"))]
    pseudonyms = [alice_hash(), session_hash(SHOP_ID, "s-3")]
    reference = str(scalar("SELECT reference FROM feedback_shopper WHERE shopper_hash = %s", [alice_hash()]))
    assert ("feedback_shopper", "shopper_hash") in places(alice_hash().hex())  # the search finds what is there
    assert ("feedback_open_impression", "subject_id") in places(str(subjects[0]))

    erase("alice")
    drain()

    names = ["alice", b"alice".hex(), b64encode(b"alice").decode(), "s-3", b"s-3".hex(), reference]
    names += [form for each in pseudonyms for form in (each.hex(), b64encode(each).decode())]
    assert {name: found for name in names if (found := places(name))} == {}
    for subject in subjects:  # random, of nobody: docs/decisions/erasure-destroys-keys.md
        assert places(str(subject)) == {
            ("eventlog_event", "subject_id"),
            ("eventlog_event", "data"),
            ("feedback_facts_erased", "subject_id"),
            ("feedback_clickthrough_erased", "subject_id"),
            ("ranking_visitorerased", "subject_id"),
            ("ranking_experiment_erased", "subject_id"),
        }
        assert places(subject.hex) == set()
    with_it = {
        type_
        for (type_,) in rows("SELECT type FROM eventlog_event WHERE strpos(data::text, %s) > 0", [str(subjects[0])])
    }
    assert with_it == {ShopperErased.type}


def test_no_key_that_is_left_opens_what_was_sealed(visit: list[dict[str, Any]]) -> None:
    gone = {subject_of(alice_hash()), subject_of(session_hash(SHOP_ID, "s-3"))}
    bobs = subject_of(shopper_hash(SHOP_ID, "bob"))
    assert opened() == {each: {each} for each in [*gone, bobs]}

    erase("alice")

    assert opened() == {bobs: {bobs}}


def test_who_still_has_what_was_sent_cannot_find_its_event(visit: list[dict[str, Any]]) -> None:
    known = "SELECT count(*) FROM eventlog_known_id WHERE content_hash = ANY(%s::bytea[])"
    keys = [bytes(key) for (key,) in rows("SELECT key FROM feedback_shopper")]
    assert scalar(known, [[content_hash(item, subject_key=key) for item in visit for key in keys]]) == len(visit)

    erase("alice")
    again = events_record(shop_id=SHOP_ID, items=visit, now=LONG_AGO)

    left = [b"", *(bytes(key) for (key,) in rows("SELECT key FROM feedback_shopper"))]
    assert scalar(known, [[content_hash(item, subject_key=key) for item in visit for key in left]]) == 0
    assert (again.accepted, {each.code for each in again.rejected}) == (0, {"event_id_conflict"})


def test_sums_and_facts_stay_and_link_nobody(visit: list[dict[str, Any]]) -> None:
    weights = rows("SELECT * FROM ranking_productweight ORDER BY product_id")
    total = scalar("SELECT count(*) FROM feedback_interaction")
    assert weights

    erase("alice")
    drain()

    assert rows("SELECT * FROM ranking_productweight ORDER BY product_id") == weights
    assert scalar("SELECT count(*) FROM feedback_interaction") == total
    assert rows("SELECT DISTINCT subject_id IS NULL, erased FROM feedback_interaction ORDER BY 2") == [
        (False, False),
        (True, True),
    ]


def test_what_is_open_settles_with_what_was_its_own(visit: list[dict[str, Any]]) -> None:
    before = {
        each.impression_position
        for each in closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=last_position())
    }

    erase("alice")
    drain()

    settled = [
        (each.items, each.outcomes, each.implied)
        for each in closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=last_position())
        if each.impression_position not in before
    ]
    assert sorted(settled) == [(["kettle"], {"kettle": ["click"]}, False), (["mug"], {"mug": ["purchase"]}, True)]


def test_a_shopper_who_comes_back_is_somebody_new(visit: list[dict[str, Any]], shop: SmallShop, alice: Shopper) -> None:
    old = rows("SELECT subject_id, key, reference FROM feedback_shopper WHERE shopper_hash = %s", [alice_hash()])[0]

    erase("alice")
    shop.record(alice.clicks("mug"))

    new = rows("SELECT subject_id, key, reference FROM feedback_shopper WHERE shopper_hash = %s", [alice_hash()])[0]
    assert not set(old) & set(new)
    assert scalar("SELECT subject_id FROM feedback_interaction ORDER BY position DESC LIMIT 1") == new[0]


def test_another_shop_keeps_its_shopper_of_the_same_name(visit: list[dict[str, Any]], alice: Shopper) -> None:
    events_record(shop_id=2, items=[alice.clicks("mug")], now=LONG_AGO)

    erase("alice")

    assert scalar("SELECT count(*) FROM feedback_shopper WHERE shop_id = 2") == 1


def test_erasing_again_or_nobody_changes_nothing_and_can_be_waited_for(visit: list[dict[str, Any]]) -> None:
    erase("alice")
    events = scalar("SELECT count(*) FROM eventlog_event")

    receipts = [erase("alice"), erase("never seen")]
    drain()

    assert scalar("SELECT count(*) FROM eventlog_event") == events
    assert len(list(read_types(types={ShopperErased.type}, to=last_position()))) == 2  # Alice, and her session
    assert all(receipt_visible(shop_id=SHOP_ID, receipt=each)["visible"] for each in receipts)


def test_click_throughs_of_the_erased_are_known_by_their_position_alone(
    visit: list[dict[str, Any]], shop: SmallShop
) -> None:
    subjects = [subject_of(alice_hash()), subject_of(session_hash(SHOP_ID, "s-3"))]
    before = closed_positions_of(shop_id=SHOP_ID, subjects=subjects)
    assert closed_positions_of_erased(shop_id=SHOP_ID) == []

    erase("alice")
    drain()

    assert len(before) == 3  # a view, an impression with its click, a click
    [at] = [  # of the two erasures, Alice's and her session's: one append may place them either way
        event.position
        for event in read_types(types={ShopperErased.type}, to=last_position())
        if event.data["subject_id"] == str(subjects[0])
    ]
    assert closed_positions_of_erased(shop_id=SHOP_ID) == sorted([*before, at, at])
    assert closed_positions_of(shop_id=SHOP_ID, subjects=subjects) == []


@pytest.mark.usefixtures("empty_shop")
@pytest.mark.parametrize("shopper_id", ["", "x" * 201, "a\0b", "half \ud800"])
def test_what_no_event_can_name_is_refused(shopper_id: str) -> None:
    with pytest.raises(BadShopperId) as refused:
        erase(shopper_id)

    assert (refused.value.status, refused.value.field) == (400, "shopper_id")
