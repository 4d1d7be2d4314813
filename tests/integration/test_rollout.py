"""Rolling out a major version: searches stay as they are until one event, and everything before can be repeated or given up."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog.services import description_revise, product_retire, products_upsert
from eventlog.consume import checkpoint_read
from eventlog.database import query, rows, scalar
from eventlog.rebuild import rebuild
from ranking import rollout, towers
from ranking.embedding import embed_batch
from ranking.learning.major_options import MAJOR
from ranking.learning.options import TrainOptions
from ranking.major_training import major_train
from ranking.policies import shop_embed
from ranking.projections.contexts import contexts
from ranking.projections.vectors import vectors
from ranking.registry import (
    ModelVersion,
    ModelVersionRefusedToServe,
    model_awaited,
    model_promote,
    model_rollback,
    model_serving,
    model_versions,
)
from ranking.retiring import majors_retire
from ranking.rollout import rollout_advance, rollout_embed
from ranking.serving import SearchRequest, search
from ranking.towers import Serving, serving
from ranking.training import consumer, shop_train
from ranking.vector_state import rollout_read, waiting_count
from ranking.versions import ranking_again
from tests.cast import drain
from tests.learning_shop import NOW, PRODUCTS, QUERIES, shop_clicks, shop_fill, wish
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
LONG = 600.0  # seconds: what a step does does not depend on how busy the machine is
QUICK = replace(MAJOR, learning_rate=1e-3, batch=8, epochs=10, most_steps=40, least_overlap=0.0)
MINOR = TrainOptions(learning_rate=0.01, epochs=10, most_steps=60, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _settings(settings: Any, tiny_encoder: str, tmp_path: Path) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    settings.ARTEFACT_URL = str(tmp_path / "artefacts")


@pytest.fixture
def _trained(db: None) -> None:
    """A shop whose major version 2.0 is trained and awaited."""
    fill()


def fill() -> None:
    shop_fill(SHOP_ID)
    shop_clicks(SHOP_ID, 200, seed=1)
    shop_embed(shop_id=SHOP_ID, now=NOW)  # and relate its contexts
    major_train(shop_id=SHOP_ID, now=NOW, options=QUICK)
    assert model_awaited(shop_id=SHOP_ID)


def roll_out() -> None:
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    assert rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)


def found(text: str = QUERIES[0]) -> dict[str, Any]:
    return search(SearchRequest(shop_id=SHOP_ID, q=text, now=NOW.timestamp()))


def served() -> str:
    version = model_serving(shop_id=SHOP_ID)
    assert version is not None
    return version.version


@pytest.mark.usefixtures("_trained")
def test_an_answer_is_of_one_version_until_the_flip_and_of_the_other_after_it() -> None:
    before = found()
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    meanwhile = found()
    assert rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    after = found()

    assert [each["ranking"]["model"] for each in (before, meanwhile, after)] == ["1.0", "1.0", "2.0"]
    assert meanwhile["items"] == before["items"]
    assert {item["product_id"] for item in after["items"]} == {item["product_id"] for item in before["items"]}
    assert all(item["vector_version"] == 1 for item in after["items"])
    assert after["items"][0]["product_id"] == wish(QUERIES[0])


@pytest.mark.usefixtures("_trained")
def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "CHUNK", 5)
    states = [rollout_read(shop_id=SHOP_ID)]
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=0.0)
    states.append(rollout_read(shop_id=SHOP_ID))
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    states.append(rollout_read(shop_id=SHOP_ID))
    assert rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)

    assert [each and (each.version, each.state) for each in states] == [
        ("2.0", "embedding"), ("2.0", "embedding"), ("2.0", "relating"),
    ]  # fmt: skip
    shares = [each.embedded for each in states if each]
    assert shares[0] == 0.0 < shares[1] < shares[2] == 1.0
    assert rollout_read(shop_id=SHOP_ID) is None


@pytest.mark.usefixtures("_trained")
def test_nothing_serves_while_a_product_lacks_its_vector() -> None:
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    products_upsert(shop_id=SHOP_ID, items=[{"product_id": "new", "title": "new red lamp"}], origin="api", now=NOW)
    drain()

    assert not rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    assert served() == "1.0"
    with pytest.raises(ModelVersionRefusedToServe, match="Not every product"):
        model_promote(shop_id=SHOP_ID, version="2.0", reason="in spite of it", now=NOW)
    roll_out()
    assert served() == "2.0"


@pytest.mark.usefixtures("_trained")
def test_a_description_revised_meanwhile_is_embedded_under_both_the_serving_version_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    description_revise(
        shop_id=SHOP_ID, product_id=PRODUCTS[0], fields={"description": "old"}, expected_version=1, now=NOW
    )
    drain()
    waited: list[int] = []

    def embed(*given: Any, **more: Any) -> int:
        waited.append(waiting_count(shop_id=SHOP_ID, major=1))
        return embed_batch(*given, **more)

    monkeypatch.setattr(rollout, "embed_batch", embed)

    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)

    assert waited == [0]
    assert rows("SELECT major FROM ranking_descriptionvector WHERE product_id = %s AND description_version = 2 ORDER BY 1",
                [PRODUCTS[0]]) == [(1,), (2,)]  # fmt: skip


@pytest.mark.usefixtures("_trained")
def test_promoting_what_serves_gives_it_up_and_learning_goes_on() -> None:
    shop_clicks(SHOP_ID, 300, seed=2)
    assert shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=MINOR) is None
    model_promote(shop_id=SHOP_ID, version="1.0", reason="given up", now=NOW)
    drain()

    assert rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG) == 0
    assert not rollout_advance(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=MINOR)
    assert outcome is not None
    assert outcome.version == "1.1"


@pytest.mark.usefixtures("_trained")
def test_minor_versions_go_on_from_a_major_one_where_it_stopped_learning() -> None:
    roll_out()
    major = next(each for each in model_versions(shop_id=SHOP_ID) if each.version == "2.0")
    assert checkpoint_read(consumer(SHOP_ID)) == major.to_position
    shop_clicks(SHOP_ID, 300, seed=2)

    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=200, options=MINOR)

    assert outcome is not None
    minor = next(each for each in model_versions(shop_id=SHOP_ID) if each.version == outcome.version)
    assert (minor.version, minor.parent, minor.encoder) == ("2.1", "2.0", major.encoder)
    assert minor.from_position == major.to_position
    model_promote(shop_id=SHOP_ID, version="2.1", reason="to see it serve", now=NOW)
    drain()
    assert found()["ranking"]["model"] == "2.1"


@pytest.mark.usefixtures("_trained")
def test_a_serving_process_has_the_new_tower_ready_before_it_serves() -> None:
    process = Serving()
    process.model(SHOP_ID)
    process.refresh_each()
    loaded = towers._encoder_frozen.cache_info().misses
    roll_out()

    assert process.model(SHOP_ID).version == "2.0"
    assert towers._encoder_frozen.cache_info().misses == loaded


@pytest.mark.usefixtures("_trained")
def test_near_contexts_are_those_of_the_version_that_answers() -> None:
    def near() -> list[tuple[int, str]]:
        return rows("SELECT DISTINCT context_id, encoder FROM ranking_contextneighbour ORDER BY 1, 2")

    before = near()
    roll_out()
    encoders = {encoder for _, encoder in near()}

    assert len(encoders) == 2
    assert {each for each in near() if each in before} == set(before)
    unseen = search(SearchRequest(shop_id=SHOP_ID, q="old old mug", now=NOW.timestamp(), explain=True))
    assert unseen["ranking"]["model"] == "2.0"
    model = serving.model(SHOP_ID)
    compared = scalar("SELECT count(*) FROM ranking_contextvector WHERE encoder = %s", [model.frozen.fingerprint])
    assert compared == scalar("SELECT count(*) FROM ranking_context WHERE kind = 'query'")


@pytest.mark.usefixtures("_trained")
def test_the_one_before_can_be_rolled_back_to_for_a_day_and_is_dropped_then(settings: Any) -> None:
    token = found()["ranking"]["token"]
    items = found()["items"]
    roll_out()
    products_upsert(shop_id=SHOP_ID, items=[{"product_id": "new", "title": "new red lamp"}], origin="api", now=NOW)
    drain()
    shop_embed(shop_id=SHOP_ID, now=NOW)
    assert waiting_count(shop_id=SHOP_ID, major=1) == 0
    almost, later = NOW + timedelta(hours=23), NOW + timedelta(hours=25)
    assert majors_retire(shop_id=SHOP_ID, now=almost) == []
    assert model_rollback(shop_id=SHOP_ID, now=almost) == "1.0"
    drain()
    assert found()["ranking"]["model"] == "1.0"
    model_promote(shop_id=SHOP_ID, version="2.0", reason="again", now=NOW)
    drain()

    assert majors_retire(shop_id=SHOP_ID, now=later) == [1]

    assert scalar("SELECT to_regclass('ranking_embedding_1_1') IS NULL")
    assert scalar("SELECT count(DISTINCT encoder) FROM ranking_contextneighbour") == 1
    with pytest.raises(ModelVersionRefusedToServe, match="not kept any more"):
        model_rollback(shop_id=SHOP_ID, now=later)
    again = ranking_again(shop_id=SHOP_ID, token=token)
    assert [item["product_id"] for item in again["items"]] == [item["product_id"] for item in items]
    assert again["items"][0]["score"] == pytest.approx(items[0]["score"], abs=1e-4)
    product_retire(shop_id=SHOP_ID, product_id="new", now=later)
    drain()
    shop_embed(shop_id=SHOP_ID, now=later)
    assert served() == "2.0"


@pytest.mark.usefixtures("real_db")
@pytest.mark.timeout(300)
def test_of_two_flips_one_lets_it_serve_and_searches_never_see_half_of_it() -> None:
    fill()
    rollout_embed(shop_id=SHOP_ID, now=NOW, seconds=LONG)
    start, done = threading.Barrier(3), threading.Event()
    flips, seen = list[bool](), list[tuple[str, int]]()

    awaited = model_awaited(shop_id=SHOP_ID)
    assert awaited

    def flip(version: ModelVersion = awaited) -> None:
        start.wait()
        flips.append(rollout._let_serve(version, NOW))
        connection.close()

    def searches() -> None:
        start.wait()
        while not done.is_set() or not seen or seen[-1][0] != "2.0":
            answer = found()
            seen.append((answer["ranking"]["model"], len(answer["items"])))
        connection.close()

    rollout._relate(awaited, NOW, until=float("inf"))
    found()
    threads = [threading.Thread(target=target) for target in (flip, flip, searches)]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join()
    done.set()
    threads[2].join()

    assert sorted(flips) == [False, True]
    promoted = rows(
        "SELECT data FROM eventlog_event WHERE type = 'ranking.ModelVersionPromoted' AND stream = 'model/2.0'"
    )
    assert len(promoted) == 1
    versions = [version for version, _ in seen]
    assert versions == sorted(versions)
    assert {count for _, count in seen} == {20}


@pytest.mark.usefixtures("real_db")
def test_the_index_is_built_beside_the_old_one_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranking.vector_state.EXACT", 10)
    fill()
    assert scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ranking_embedding_1_1_hnsw')")
    query("CREATE INDEX ranking_embedding_1_2_hnsw ON ranking_context (id)")  # as a name that a build left behind
    query("DROP INDEX ranking_embedding_1_2_hnsw")

    roll_out()

    assert scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ranking_embedding_1_2_hnsw')")
    assert served() == "2.0"


@pytest.mark.usefixtures("_trained")
def test_what_a_major_version_left_behind_is_the_same_in_a_rebuild() -> None:
    roll_out()
    majors_retire(shop_id=SHOP_ID, now=NOW + timedelta(hours=25))
    tables = {each: [*each.tables] for each in (vectors, contexts)}
    live = {table: content(table) for of in tables.values() for table in of}

    for projection in tables:
        rebuild(projection.name)

    assert {each: [*each.tables] for each in (vectors, contexts)} == tables
    assert {table: content(table) for of in tables.values() for table in of} == live
    assert content("ranking_retiredmajor") == [(SHOP_ID, 1)]
    assert scalar("SELECT to_regclass('ranking_embedding_1_1') IS NULL")


def content(table: str) -> list[tuple[Any, ...]]:
    return sorted(rows(f"SELECT * FROM {table}"), key=repr)
