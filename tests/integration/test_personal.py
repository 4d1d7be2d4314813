"""Shoppers' tastes through the log: a version learns them, the same query finds other products for them, on evidence."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from eventlog.database import query, rows
from feedback.privacy import subject_reference
from ranking.history import LENGTH, history_read
from ranking.learning.artefact import artefact_write
from ranking.learning.candidate import candidate_make
from ranking.learning.courses import histories_before
from ranking.learning.options import TrainOptions
from ranking.serving import SearchRequest, search
from ranking.towers import encoder_frozen, serving
from ranking.training import Outcome, range_read, serving_ensured, shop_train
from tests.erasure_cast import erase
from tests.learning_shop import NOW, shop_fill
from tests.tastes_shop import TASTES, THINGS, tastes_visits
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
EVERY = 200
QUICK = TrainOptions(learning_rate=0.01, epochs=1, most_steps=4, least_overlap=0.0)
EVERYTHING = {"facts": 10**9, "products": 10**9}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _shop(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)


def train_next() -> Outcome:
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY, options=QUICK)
    assert outcome is not None
    return outcome


def reference(name: str) -> Any:
    return subject_reference(shop_id=SHOP_ID, raw_id=name)


def found(text: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    asked = SearchRequest(
        shop_id=SHOP_ID, q=text, k=18, now=NOW.timestamp(), subject=reference(name) if name else None, **more
    )
    return search(asked)


def names(answer: dict[str, Any]) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def test_the_same_query_finds_each_shopper_what_she_likes_and_a_stranger_what_all_do() -> None:
    tastes_visits(SHOP_ID, 320, seed=1)
    outcome = train_next()

    assert outcome.promoted, outcome.reason
    assert outcome.metrics["shopper"]["personal"] > 0, outcome.metrics["shopper"]
    firsts = {name: [names(found(thing, name))[0].split()[0] for thing in THINGS] for name in ("alice", "bob")}
    assert sum(colour == "red" for colour in firsts["alice"]) > len(THINGS) / 2
    assert sum(colour == "blue" for colour in firsts["bob"]) > len(THINGS) / 2
    neutral = found(THINGS[0], explain=True)
    stranger = found(THINGS[0], "never seen", explain=True)
    assert neutral["items"] == stranger["items"]
    assert "personal" not in neutral["items"][0]["explanation"]
    assert found(THINGS[0], "alice", explain=True)["items"][0]["explanation"]["personal"] > 0


def test_histories_without_sense_leave_searches_as_they_were() -> None:
    tastes_visits(SHOP_ID, 320, seed=2, shuffled=True)
    outcome = train_next()

    assert outcome.metrics["shopper"]["personal"] == 0
    assert outcome.metrics["shopper"]["courses"] == len(TASTES)
    assert not serving.model(SHOP_ID).is_personal
    assert found(THINGS[0], "alice")["items"] == found(THINGS[0])["items"]


def test_the_same_range_gives_the_same_bytes_whatever_was_done_later() -> None:
    tastes_visits(SHOP_ID, 320, seed=1)
    parent = serving_ensured(SHOP_ID, NOW)
    frozen = encoder_frozen(parent.config["encoder_name"])

    def make() -> bytes:
        part = range_read(shop_id=SHOP_ID, after=0, every=EVERY)
        assert part is not None
        return artefact_write(candidate_make(parent=parent, frozen=frozen, part=part, options=QUICK).artefact)

    first = make()
    tastes_visits(SHOP_ID, 30, seed=3, shuffled=True)

    assert b"shopper.centre" in first
    assert make() == first


def test_a_history_is_read_as_of_a_position_newest_last_and_goes_with_its_shopper() -> None:
    tastes_visits(SHOP_ID, 800, seed=1)
    alice = reference("alice")
    positions = [position for (position,) in rows(
        """SELECT i.position FROM feedback_interaction i JOIN feedback_shopper s USING (subject_id)
            WHERE s.reference = %s ORDER BY 1""", [alice])]  # fmt: skip

    def read(facts: int) -> list[int]:
        at = EVERYTHING | {"facts": facts}
        return [step.position for step in history_read(shop_id=SHOP_ID, reference=alice, major=1, positions=at).steps]

    newest, before = read(10**9), read(positions[4])
    assert len(positions) > LENGTH
    assert newest == sorted(newest)
    assert set(newest) <= set(positions[-LENGTH:])
    assert set(before) <= set(positions[:5])
    erase("alice")
    assert read(10**9) == []


def test_one_index_finds_the_newest_of_a_history() -> None:
    tastes_visits(SHOP_ID, 100, seed=1)
    for switch in ("seqscan", "sort", "bitmapscan"):
        query(f"SET LOCAL enable_{switch} = off")

    plan = rows(
        """EXPLAIN SELECT product_id FROM feedback_interaction t WHERE subject_id = %s AND position <= 99
            ORDER BY position DESC LIMIT 50""",
        [uuid4()],
    )

    assert any("feedback_interaction_history" in line for (line,) in plan)


def test_what_was_done_from_a_list_is_not_known_when_the_list_judges() -> None:
    tastes_visits(SHOP_ID, 60, seed=1)
    part = range_read(shop_id=SHOP_ID, after=0, every=40)
    assert part is not None
    closed = [*part.train, *part.calibrate, *part.gate]
    before = histories_before(closed, position=part.to_position)

    for each, (_, steps) in zip(closed, before, strict=True):
        assert all(step.at < each.shown_at.timestamp() for step in steps)
    assert sum(bool(steps) for _, steps in before) == len(closed) - len(TASTES)
