"""Embedding: each description version once, whoever is killed or at it twice; and vectors by text are never made again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import connection

from eventlog.database import query, rows, scalar
from eventlog.services import append
from ranking import embedding
from ranking.embedding import embed_waiting, index_vectors
from ranking.policies import shop_embed
from ranking.registry import ModelVersion, model_serving
from ranking.services import model_ensure_first
from ranking.vector_state import waiting_count
from tests.cast import PRODUCTS, SHOP_ID, Clock, SmallShop, drain
from tests.log_cast import database_url

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def version() -> ModelVersion:
    model_ensure_first(shop_id=SHOP_ID, now=NOW)
    drain()
    found = model_serving(shop_id=SHOP_ID)
    assert found is not None
    return found


def embedded() -> dict[str, int]:
    """How many vectors were recorded, by product."""
    return dict(
        rows(
            "SELECT data ->> 'product_id', count(*) FROM eventlog_event WHERE type = 'ranking.DescriptionEmbedded' GROUP BY 1"
        )
    )


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the encoder is given, in order."""
    texts: list[str] = []
    encoder = embedding.product_encoder("minilm")
    original = encoder.encode_products

    def record(given: Any) -> Any:
        texts.extend(given)
        return original(given)

    monkeypatch.setattr(encoder, "encode_products", record)
    return texts


def test_every_product_gets_one_vector_of_its_own_length_one(shop: SmallShop) -> None:
    assert embed_waiting(model=version(), now=NOW) == len(PRODUCTS)

    vectors = [np.array(eval_vector(text)) for (text,) in rows("SELECT vector::text FROM ranking_embedding_1_1")]
    assert len(vectors) == len(PRODUCTS)
    assert [float(np.linalg.norm(vector)) for vector in vectors] == pytest.approx([1.0] * len(PRODUCTS), abs=0.01)
    assert waiting_count(shop_id=SHOP_ID, major=1) == 0


def eval_vector(text: str) -> list[float]:
    return [float(number) for number in text.strip("[]").split(",")]


def test_what_is_embedded_is_not_embedded_again(shop: SmallShop, encoded: list[str]) -> None:
    shop_embed(shop_id=SHOP_ID, now=NOW)
    shop_embed(shop_id=SHOP_ID, now=NOW)

    assert len(encoded) == len(set(encoded)) == len(PRODUCTS)
    assert set(embedded().values()) == {1}


def test_the_same_text_is_encoded_once_and_a_restored_one_never_again(shop: SmallShop, encoded: list[str]) -> None:
    shop.offer(*({"product_id": f"twin-{n}", "title": "Twin plate"} for n in range(3)))
    shop_embed(shop_id=SHOP_ID, now=NOW)
    before = len(encoded)
    shop.revise_description("mug", "Another one.")
    shop_embed(shop_id=SHOP_ID, now=NOW)
    shop.revise_description("mug", PRODUCTS[0]["description"], expected_version=2)
    shop_embed(shop_id=SHOP_ID, now=NOW)

    assert before == len(PRODUCTS) + 1
    assert len(encoded) == before + 1
    assert rows("SELECT description_version FROM ranking_embedding_1_1 WHERE product_id = 'mug'") == [(3,)]


def test_revised_descriptions_come_before_new_products(shop: SmallShop, encoded: list[str]) -> None:
    model = version()
    shop.revise_description("trainers", "Shoes that were described anew.")

    embed_waiting(model=model, now=NOW, batch=1, most_batches=1)

    assert "described anew" in encoded[0]


def test_an_embedder_that_dies_half_way_is_resumed_and_embeds_each_version_once(
    shop: SmallShop, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = version()
    original, calls = append, []

    def dies(**given: Any) -> Any:
        calls.append(len(given["events"]))
        if len(calls) == 2:
            raise ConnectionError("killed between the vectors and the event")
        return original(**given)

    monkeypatch.setattr(embedding, "append", dies)
    with pytest.raises(ConnectionError):
        embed_waiting(model=model, now=NOW, batch=5)
    assert (sum(embedded().values()), scalar("SELECT count(*) FROM ranking_vector")) == (5, 5)

    embed_waiting(model=model, now=NOW, batch=5)

    assert embedded() == {product["product_id"]: 1 for product in PRODUCTS}
    assert len(encoded) == len(PRODUCTS) + 5  # the batch that it was just at


def test_vectors_that_were_stored_without_their_event_are_used(
    shop: SmallShop, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_embed(shop_id=SHOP_ID, now=NOW)
    shop.retire("mug")
    before = len(encoded)

    shop.offer(PRODUCTS[0] | {"product_id": "mug again"})
    shop_embed(shop_id=SHOP_ID, now=NOW)

    assert len(encoded) == before
    assert embedded()["mug again"] == 1


def test_a_product_that_retires_while_it_is_embedded_does_not_come_back(
    shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = version()
    original = append

    def retires_first(**given: Any) -> Any:
        monkeypatch.setattr(embedding, "append", original)
        shop.retire("mug")
        return original(**given)

    monkeypatch.setattr(embedding, "append", retires_first)
    embed_waiting(model=model, now=NOW)

    assert rows("SELECT 1 FROM ranking_embedding_1_1 WHERE product_id = 'mug'") == []
    assert waiting_count(shop_id=SHOP_ID, major=1) == 0


def test_a_description_revised_while_it_is_embedded_is_embedded_again(
    shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = version()
    original = append

    def revises_first(**given: Any) -> Any:
        monkeypatch.setattr(embedding, "append", original)
        shop.revise_description("mug", "Another one.")
        return original(**given)

    monkeypatch.setattr(embedding, "append", revises_first)
    embed_waiting(model=model, now=NOW)

    assert embedded()["mug"] == 2
    assert rows("SELECT description_version FROM ranking_embedding_1_1 WHERE product_id = 'mug'") == [(2,)]


def test_a_small_table_gets_no_index(shop: SmallShop) -> None:
    assert not index_vectors(shop_id=SHOP_ID, major=1)
    shop_embed(shop_id=SHOP_ID, now=NOW)
    assert not index_vectors(shop_id=SHOP_ID, major=1)


def test_two_embedders_at_once_do_no_harm(real_db: None) -> None:
    SmallShop(clock=Clock()).offer(*PRODUCTS)
    model = version()
    start, failures = threading.Barrier(2), []

    def embed() -> None:
        try:
            start.wait(timeout=30)
            embed_waiting(model=model, now=NOW, batch=3)
        except Exception as error:  # noqa: BLE001  (a thread's own; asserted below)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=embed) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    drain()

    assert failures == []
    assert embedded() == {product["product_id"]: 1 for product in PRODUCTS}
    assert scalar("SELECT count(*) FROM ranking_embedding_1_1") == len(PRODUCTS)


def test_a_first_version_is_waited_for_while_another_process_drains(real_db: None) -> None:
    SmallShop(clock=Clock(NOW)).offer(*PRODUCTS)
    query("INSERT INTO eventlog_checkpoint (consumer) VALUES ('models') ON CONFLICT DO NOTHING")
    held = threading.Event()

    def drains_for_a_while() -> None:
        with psycopg.connect(database_url()) as other:
            other.execute("SELECT 1 FROM eventlog_checkpoint WHERE consumer = 'models' FOR UPDATE")
            held.set()
            time.sleep(0.5)

    draining = threading.Thread(target=drains_for_a_while)
    draining.start()
    held.wait()

    assert shop_embed(shop_id=SHOP_ID, now=NOW) == len(PRODUCTS)
    draining.join()
