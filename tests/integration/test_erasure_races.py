"""Erasing against everything else: however the log is cut, rebuilt, in races, and killed in the middle."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as django_settings

from eventlog.consume import drain as drain_projection
from eventlog.consume import sequence_and_drain
from eventlog.database import query, rows, scalar
from eventlog.events import NewEvent
from eventlog.projection import projections
from eventlog.rebuild import rebuild
from eventlog.selectors import parked
from eventlog.services import append, sequence
from feedback import privacy
from feedback.events import ImpressionRecorded, InteractionRecorded, ShopperErased
from feedback.projections import click_throughs, facts
from feedback.services import events_record
from tests.cast import SHOP_ID, Clock, Shopper, SmallShop, drain
from tests.erasure_cast import LONG_AGO, alice_hash, erase, opened, stored, subject_of, token
from tests.log_cast import database_url, together

FEEDBACK = (facts, click_throughs)


def random_log(seed: int) -> None:
    """Shoppers who share rankings, are erased again and again, and whose old subjects appear after that."""
    dice, old = random.Random(seed), list[UUID]()
    for n in range(160):
        products = dice.sample(["mug", "pot", "pan"], 2)
        item = some_event(dice, n, products)
        assert events_record(shop_id=SHOP_ID, items=[item], now=LONG_AGO).accepted == 1
        if dice.random() < 0.06 and (subject := subject_of(alice_hash())):
            old.append(subject)
            erase("alice")
        if old and dice.random() < 0.2:
            append(shop_id=SHOP_ID, events=[a_late_one(dice, n, products, dice.choice(old))])


def some_event(dice: random.Random, n: int, products: list[str]) -> dict[str, Any]:
    moment = LONG_AGO + timedelta(minutes=n + dice.gauss(0, 15))
    event = {
        "event_id": str(UUID(int=dice.getrandbits(128))),
        "occurred_at": moment.isoformat(),
        "ranking_token": token(n // 40 * 2 + dice.randrange(2)),
    }
    if shopper := dice.choice(["alice", "bob", None]):
        event["shopper_id"] = shopper
    if dice.random() < 0.4:
        return event | {"kind": "impression", "items": products}
    return event | {"kind": "click", "product_id": products[0]}


def a_late_one(dice: random.Random, n: int, products: list[str], subject: UUID) -> NewEvent:
    """What a batch appends that had read the key before it was destroyed."""
    ranking = {"ref": "shared", "position": 0, "at": 0.0, "model": "1.0", "arm": None, "propensity": None}
    seen = ImpressionRecorded(items=products, first_rank=1, ranking=ranking)
    clicked = InteractionRecorded(kind="click", product_id=products[0], ranking=ranking)
    moment = LONG_AGO + timedelta(minutes=n)
    return NewEvent(event=dice.choice([seen, clicked]), occurred_at=moment, personal=b"sealed", subject_id=subject)


def drain_in_cuts(dice: random.Random) -> None:
    for projection in FEEDBACK:
        while drain_projection(projection, batch=dice.randint(1, 25)):
            pass


@pytest.mark.parametrize("seed", range(4))
def test_the_log_may_be_cut_anywhere(empty_shop: SmallShop, seed: int) -> None:
    random_log(seed)
    drain()
    whole = [stored(each) for each in FEEDBACK]
    assert parked() == []
    assert whole[0]["feedback_facts_erased"]

    for projection in FEEDBACK:
        for table in projection.tables:
            query(f"DELETE FROM {table}")
        for table in ("checkpoint", "drain"):
            query(f"DELETE FROM eventlog_{table} WHERE consumer = %s", [projection.name])
    drain_in_cuts(random.Random(seed))

    assert [stored(each) for each in FEEDBACK] == whole


@pytest.mark.usefixtures("real_db")
def test_rebuilt_equals_live() -> None:
    random_log(11)
    sequence_and_drain()
    live = [stored(each) for each in FEEDBACK]

    for projection in FEEDBACK:
        rebuild(projection.name)

    assert [stored(each) for each in FEEDBACK] == live
    assert orphans() == []


def orphans() -> list[tuple[str, UUID]]:
    """Subjects that read models hold and that nobody has a key of."""
    tables = ("feedback_impression", "feedback_interaction", "feedback_open_impression", "feedback_open_interaction")
    return [
        (table, subject)
        for table in tables
        for (subject,) in rows(
            f"""SELECT DISTINCT subject_id FROM {table} t WHERE subject_id IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM feedback_shopper s WHERE s.subject_id = t.subject_id)"""
        )
    ]


SENDS, NAMES = 60, ["alice", "bob", *(f"shopper {n}" for n in range(6))]


def send_batches(seed: int) -> int:
    """Record what shoppers do, one event or twenty at once; how many were accepted."""
    dice, accepted = random.Random(seed), 0
    for _ in range(SENDS):
        shoppers = [Shopper(dice.choice(NAMES), Clock(LONG_AGO)) for _ in range(dice.choice([1, 1, 20]))]
        items = [
            each.clicks("mug", ranking_token=token(dice.randrange(3)), session_id=f"s-{dice.randrange(3)}")
            | {"event_id": str(uuid4())}
            for each in shoppers
        ]
        result = events_record(shop_id=SHOP_ID, items=items, now=LONG_AGO)
        assert result.accepted == len(items)
        accepted += result.accepted
    return accepted


def erase_and_drain(seed: int) -> int:
    """Erase one after the other, and do a worker's turn between."""
    dice, known = random.Random(seed), 0
    for _ in range(SENDS):
        known += subject_of(alice_hash()) is not None
        erase("alice" if dice.random() < 0.5 else dice.choice(NAMES))
        sequence()
        for projection in projections().values():
            drain_projection(projection)
    return known


@pytest.mark.usefixtures("real_db")
def test_erasing_while_other_connections_record_leaves_nothing_that_can_be_read() -> None:
    done = together(
        *[lambda n=n: send_batches(n) for n in range(4)], lambda: erase_and_drain(8), lambda: erase_and_drain(9)
    )

    assert not [each for each in done if isinstance(each, Exception)]
    assert min(done) > 0
    for name in NAMES:
        if name != "bob":
            erase(name)
    sequence_and_drain()
    assert set(opened()) == {subject for (subject,) in rows("SELECT subject_id FROM feedback_shopper")}
    assert (
        len(opened()) <= 1
    )  # Bob, if he came back after he was erased the last time; the sessions were erased with Alice
    assert scalar("SELECT count(*) FROM eventlog_event WHERE personal IS NOT NULL") == sum(done[:4])
    assert (orphans(), parked()) == ([], [])


@pytest.mark.usefixtures("empty_shop")
def test_a_batch_that_had_read_the_key_before_it_was_destroyed_is_nobodys(alice: Shopper, monkeypatch: Any) -> None:
    def erase_and_append(**arguments: Any) -> Any:
        erase("alice")
        return append(**arguments)

    monkeypatch.setattr("feedback.services.append", erase_and_append)
    events = [alice.sees(["mug"], ranking_token=token(1)), alice.clicks("mug", ranking_token=token(1))]
    assert events_record(shop_id=SHOP_ID, items=events, now=LONG_AGO).accepted == 2
    drain()

    assert (opened(), orphans()) == ({}, [])
    assert scalar("SELECT count(*) FROM feedback_impression WHERE erased") == 1
    assert scalar("SELECT count(*) FROM feedback_clickthrough") == 2  # each alone


@pytest.mark.usefixtures("empty_shop")
def test_who_is_erased_while_a_batch_looks_for_the_key_gets_a_new_one(alice: Shopper, monkeypatch: Any) -> None:
    looks: list[int] = []

    def look(shop_id: int, hashes: Any) -> Any:
        if len(looks) == 1:  # inserted, and not looked at yet
            erase("alice")
        found = known_subjects(shop_id, hashes)
        looks.append(len(found))
        return found

    known_subjects = privacy._known_subjects
    monkeypatch.setattr(privacy, "_known_subjects", look)
    assert events_record(shop_id=SHOP_ID, items=[alice.clicks("mug")], now=LONG_AGO).accepted == 1

    assert looks == [0, 0, 1]
    assert list(opened()) == [subject_of(alice_hash())]


_KILLED = """
import django
django.setup()
from datetime import UTC, datetime
from time import sleep
from django.db import transaction
from feedback.erasure import shopper_erase
with transaction.atomic():
    shopper_erase(shop_id=1, shopper_id="alice", now=datetime.now(UTC))
    print("erased, not committed", flush=True)
    sleep(60)
"""


@pytest.mark.usefixtures("real_db")
def test_killed_before_the_commit_nothing_is_erased_and_the_next_call_erases_all(clock: Clock) -> None:
    shopper = Shopper("alice", clock)
    events_record(shop_id=SHOP_ID, items=[shopper.clicks("mug")], now=LONG_AGO)
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED], cwd=django_settings.BASE_DIR, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"erased, not committed\n"
        assert opened()  # readers see the key until the commit
        process.kill()

    assert list(opened()) == [subject_of(alice_hash())]
    assert scalar("SELECT count(*) FROM eventlog_event WHERE type = %s", [ShopperErased.type]) == 0
    erase("alice")
    assert (opened(), scalar("SELECT count(*) FROM eventlog_event WHERE type = %s", [ShopperErased.type])) == ({}, 1)
