"""Events into the log: who they are about stays sealed, repeats change nothing, many senders lose nothing."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from eventlog.database import rows, scalar
from eventlog.selectors import last_position, read
from eventlog.services import sequence
from feedback.events import ImpressionRecorded, InteractionRecorded
from feedback.privacy import personal_open, session_hash, shopper_hash
from feedback.ranking_token import RankingToken, token_sign
from feedback.services import RecordResult, TooManyEvents, events_record
from tests.cast import SHOP_ID, TEN_O_CLOCK, Shopper, SmallShop


def send(*events: Any) -> RecordResult:
    return events_record(shop_id=SHOP_ID, items=events, now=TEN_O_CLOCK)


def recorded() -> list[Any]:
    sequence()
    types = {ImpressionRecorded.type, InteractionRecorded.type}
    return read(after=0, to=last_position(), types=types)


def counts(result: RecordResult) -> tuple[int, int, int]:
    return result.accepted, result.duplicates, len(result.rejected)


def token_for(shop: SmallShop, *products: str, **changes: Any) -> str:
    ids: dict[str, int] = dict(rows("SELECT product_id, id FROM catalog_product"))
    members: dict[str, Any] = {"context_kind": "query", "context_key": "tea cup", "query": "Tea cup!"} | changes
    items = tuple((ids[product], 1) for product in products)
    now, positions = TEN_O_CLOCK.timestamp(), {"products": 12, "weights": 11}
    return token_sign(
        RankingToken(shop_id=shop.shop_id, now=now, model="1.0", positions=positions, items=items, **members)
    )


def test_an_event_is_kept_without_its_shoppers_name(empty_shop: SmallShop, alice: Shopper) -> None:
    send(alice.clicks("mug", query="Tea Cups", session_id="s-3", price=14.5, quantity=2))

    [event] = recorded()
    assert event.data == {
        "kind": "click",
        "product_id": "mug",
        "context": {"kind": "query", "key": "tea cups", "text": "Tea Cups"},
        "price": 14.5,
        "quantity": 2,
    }
    everything = scalar("SELECT string_agg(e::text, '') FROM eventlog_event e") + scalar(
        "SELECT string_agg(s::text, '') FROM feedback_shopper s"
    )
    assert "alice" not in everything
    assert b"alice".hex() not in everything


def test_the_personal_part_opens_with_the_shoppers_key(empty_shop: SmallShop, alice: Shopper) -> None:
    send(alice.clicks("mug", session_id="s-3"))

    [event] = recorded()
    key, subject = rows("SELECT key, subject_id FROM feedback_shopper")[0]
    assert event.subject_id == subject
    assert personal_open(bytes(key), event.event_id, event.personal) == {
        "shopper": shopper_hash(SHOP_ID, "alice").hex(),
        "session": session_hash(SHOP_ID, "s-3").hex(),
    }


def test_a_shopper_has_one_subject_and_another_shopper_another(
    empty_shop: SmallShop, alice: Shopper, bob: Shopper
) -> None:
    send(alice.clicks("mug"), bob.clicks("mug"))
    send(alice.views("pot"))

    first, second, third = (event.subject_id for event in sorted(recorded(), key=lambda event: event.data["kind"]))
    assert third in {first, second}
    assert first != second


def test_sending_again_changes_nothing(empty_shop: SmallShop, alice: Shopper) -> None:
    batch = [alice.clicks("mug"), alice.buys("mug")]
    assert counts(send(*batch)) == (2, 0, 0)

    again = send(*batch)

    assert counts(again) == (0, 2, 0)
    assert again.row_id > 0  # a repeat can be waited for as well
    assert len(recorded()) == 2


def test_a_known_id_with_other_content_is_a_conflict(empty_shop: SmallShop, alice: Shopper) -> None:
    click = alice.clicks("mug")
    send(click)

    refused = send(click | {"product_id": "pot"}, alice.clicks("pot"))

    assert counts(refused) == (1, 0, 1)
    assert (refused.rejected[0].index, refused.rejected[0].code) == (0, "event_id_conflict")
    assert len(recorded()) == 2


def test_a_bad_event_is_refused_alone(empty_shop: SmallShop, alice: Shopper) -> None:
    result = send(
        alice.clicks("mug"), alice.clicks("mug", rank=0), alice.clicks("mug", querry="tea"), alice.buys("pot")
    )

    assert counts(result) == (2, 0, 2)
    assert [(each.index, each.code, each.field) for each in result.rejected] == [
        (1, "bad_rank", "rank"),
        (2, "unknown_field", "querry"),
    ]


def test_too_many_events_are_refused_and_nothing_is_written(empty_shop: SmallShop) -> None:
    with pytest.raises(TooManyEvents):
        send(*[{}] * 1001)

    assert recorded() == []


def test_a_token_tells_context_ranking_and_rank(shop: SmallShop, alice: Shopper) -> None:
    token = token_for(shop, "teapot", "mug", "beaker", offset=20)

    send(alice.sees(["mug", "beaker"], ranking_token=token), alice.clicks("beaker", ranking_token=token, query="else"))

    click, impression = sorted(recorded(), key=lambda event: event.type, reverse=True)
    assert (impression.data["first_rank"], click.data["rank"]) == (22, 23)
    assert click.data["context"] == {"kind": "query", "key": "tea cup", "text": "Tea cup!"}
    assert click.data["ranking"] == impression.data["ranking"]
    assert click.data["ranking"] | {"ref": ""} == {
        "ref": "", "position": 11, "at": TEN_O_CLOCK.timestamp(), "model": "1.0", "arm": None, "propensity": None,
    }  # fmt: skip
    assert token not in str(click.data)


def test_a_rank_that_is_given_counts(shop: SmallShop, alice: Shopper) -> None:
    send(alice.clicks("mug", ranking_token=token_for(shop, "teapot", "mug"), rank=9))

    assert recorded()[0].data["rank"] == 9


def test_a_forged_token_is_refused_with_its_event(shop: SmallShop, alice: Shopper) -> None:
    forged = token_for(shop, "mug")[:-1] + "_"
    result = send(alice.clicks("mug", ranking_token=forged), alice.clicks("mug"))

    assert counts(result) == (1, 0, 1)
    assert (result.rejected[0].code, result.rejected[0].field) == ("bad_token", "ranking_token")


def test_a_clock_that_runs_years_ahead_gains_nothing(empty_shop: SmallShop, alice: Shopper) -> None:
    send(alice.clicks("mug") | {"occurred_at": "2199-01-01T00:00:00Z"})

    [event] = recorded()
    assert event.effective_at == event.recorded_at


def test_a_clock_that_is_years_behind_makes_an_old_event(empty_shop: SmallShop, alice: Shopper) -> None:
    send(alice.clicks("mug") | {"occurred_at": "1970-01-01T00:00:00Z"})

    assert recorded()[0].effective_at.year == 1970


def test_unknown_products_are_kept(empty_shop: SmallShop, alice: Shopper) -> None:
    assert counts(send(alice.clicks("nobody knows me"), alice.sees(["nor", "me"]))) == (2, 0, 0)


@pytest.mark.usefixtures("real_db")
def test_of_eight_senders_of_overlapping_batches_each_event_is_stored_once() -> None:
    events = [
        {
            "event_id": f"e-{n}",
            "kind": "click",
            "occurred_at": (TEN_O_CLOCK + timedelta(seconds=n)).isoformat(),
            "product_id": "mug",
            "shopper_id": f"shopper {n % 37}",
        }
        for n in range(400)
    ]
    results: list[RecordResult] = []
    errors: list[BaseException] = []

    def race(seed: int) -> None:
        try:
            results.extend(_send_in_batches(events, seed))
        except BaseException as error:  # noqa: BLE001  (told below, in the thread that can)
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not errors
    assert sum(result.accepted for result in results) == 400
    assert sum(result.duplicates for result in results) == 7 * 400
    assert not any(result.rejected for result in results)
    assert scalar("SELECT count(*) FROM eventlog_event") == 400
    assert scalar("SELECT count(*) FROM feedback_shopper") == 37
    assert scalar("SELECT count(DISTINCT subject_id) FROM eventlog_event") == 37


def _send_in_batches(events: Sequence[dict[str, Any]], seed: int) -> list[RecordResult]:
    dice = random.Random(seed)
    mixed = list(events)
    dice.shuffle(mixed)
    return [send(*mixed[start : start + 50]) for start in range(0, len(mixed), 50)]
