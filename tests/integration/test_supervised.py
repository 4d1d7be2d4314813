"""A version from the judgement list: trained on some queries, judged by others, committed, or refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog.services import products_upsert
from eventlog.consume import checkpoint_read, sequence_and_drain
from ranking.judgements import judgements_record
from ranking.learning.artefact import artefact_write
from ranking.learning.judged import is_kept
from ranking.learning.options import TrainOptions
from ranking.learning.supervised import lesson_read, supervised_make
from ranking.registry import model_get, model_serving, model_versions
from ranking.supervised import TooFewJudgements, VectorsMissing, supervised_train
from ranking.towers import encoder_frozen
from ranking.training import Outcome, consumer, shop_train
from tests.learning_shop import NOW, PRODUCTS, QUERIES, shop_clicks, shop_fill, wish
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
# random weights are not those of a language model: they take larger steps
QUICK = TrainOptions(learning_rate=0.01, epochs=40, batch=8, most_steps=80)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)


# each query both ways round: enough queries for some to be kept
WISHES = {spelling: wish(query) for query in QUERIES for spelling in (query, " ".join(reversed(query.split())))}


def judge(wishes: dict[str, str], *, liked: float = 3, others: float = 0) -> None:
    """Let editors judge all products of the thing that a query names."""
    items = [
        {"query": query, "product_id": product, "rating": liked if product == best else others}
        for query, best in wishes.items()
        for product in PRODUCTS
        if product.endswith(best.split()[1])
    ]
    assert not judgements_record(shop_id=SHOP_ID, items=items, now=NOW).rejected
    sequence_and_drain()


def train(options: TrainOptions = QUICK) -> Outcome:
    outcome = supervised_train(shop_id=SHOP_ID, now=NOW, options=options)
    assert outcome is not None
    return outcome


def test_judgements_make_a_version_that_is_better_on_queries_kept_from_it() -> None:
    judge(WISHES)

    outcome = train()

    gate = outcome.metrics["gate"]
    assert outcome.promoted, outcome.reason
    assert gate["candidate_list"] > gate["serving_list"] + 0.02
    version = model_serving(shop_id=SHOP_ID)
    assert version is not None
    assert (version.version, version.parent, version.seed > 0) == ("1.1", "1.0", True)
    assert version.from_position == version.to_position == version.metrics["judged_to_position"]
    assert version.metrics["examples"] + gate["judged_queries"] == len(WISHES)
    assert checkpoint_read(consumer(SHOP_ID)) == 0  # it took no click-throughs


def test_the_same_list_and_parent_give_the_same_bytes_whatever_came_later() -> None:
    judge(WISHES)
    position, parent = checkpoint_read("judgements"), model_serving(shop_id=SHOP_ID)
    assert parent is not None

    def made() -> bytes:
        lesson = lesson_read(shop_id=SHOP_ID, position=position, recent=[])
        frozen = encoder_frozen(parent.config["encoder_name"])
        return artefact_write(supervised_make(parent=parent, frozen=frozen, lesson=lesson, options=QUICK).artefact)

    first = made()
    judge(WISHES, liked=0, others=3)

    assert made() == first


def test_a_list_that_contradicts_itself_is_refused_and_what_served_goes_on() -> None:
    kept = {query: best for query, best in WISHES.items() if is_kept(SHOP_ID, query)}
    judge(kept)
    judge({query: best for query, best in WISHES.items() if query not in kept}, liked=0, others=3)

    outcome = train()

    assert not outcome.promoted
    assert "judgement list" in outcome.reason
    assert model_get(shop_id=SHOP_ID, version=outcome.version).state == "refused"
    serving = model_serving(shop_id=SHOP_ID)
    assert serving is not None
    assert serving.version == "1.0"


def test_a_judgement_list_may_not_cost_what_shoppers_taught() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)
    clicked = shop_train(
        shop_id=SHOP_ID, now=NOW, every=200, options=replace(QUICK, batch=32, epochs=10, most_steps=60)
    )
    judge({query: best for query, best in WISHES.items()}, liked=0, others=3)

    outcome = train()

    assert clicked is not None
    assert clicked.promoted
    assert not outcome.promoted
    assert "MRR of the clicked product" in outcome.reason


def test_clicks_that_cost_the_judgement_list_are_refused() -> None:
    judge(WISHES, liked=0, others=3)
    shop_clicks(SHOP_ID, 300, seed=1)

    outcome = shop_train(
        shop_id=SHOP_ID, now=NOW, every=200, options=replace(QUICK, batch=32, epochs=10, most_steps=60)
    )

    assert outcome is not None
    assert not outcome.promoted
    assert "nDCG@10 on the judgement list falls" in outcome.reason
    assert outcome.metrics["gate"]["judged_queries"] == len(WISHES)


def test_a_tower_that_learned_the_shops_language_first_passes_the_same_gate() -> None:
    judge(WISHES)

    outcome = supervised_train(shop_id=SHOP_ID, now=NOW, options=QUICK, pretrain=True)

    assert outcome is not None
    assert outcome.metrics["pretrain"]["steps"] == 100
    assert outcome.metrics["gate"]["judged_queries"] >= 8
    chosen = model_get(shop_id=SHOP_ID, version=outcome.version).config["options"]
    assert chosen["language"]["masked"] == 0.15


def test_a_short_list_trains_nothing() -> None:
    judge(dict(list(WISHES.items())[:10]))

    with pytest.raises(TooFewJudgements, match="10 queries"):
        train()

    assert [version.version for version in model_versions(shop_id=SHOP_ID)] == ["1.0"]


def test_judged_products_without_a_vector_are_waited_for() -> None:
    judge(WISHES)
    items = [{"product_id": "blue mug deluxe", "title": "blue mug deluxe", "language": "en"}]
    products_upsert(shop_id=SHOP_ID, items=items, origin="api", now=NOW)
    judgements_record(
        shop_id=SHOP_ID, items=[{"query": "old mug", "product_id": "blue mug deluxe", "rating": 2}], now=NOW
    )
    sequence_and_drain()

    with pytest.raises(VectorsMissing, match="1 judged"):
        train()


def test_the_command_says_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    judge(WISHES)
    monkeypatch.setattr("ranking.learning.supervised.SUPERVISED", QUICK)
    said = StringIO()

    call_command("train", "--supervised", stdout=said, stderr=said)

    assert "1.1 serves: better on judged queries that were kept from it." in said.getvalue()
    assert "nDCG@10 on" in said.getvalue()


def test_the_command_refuses_a_list_that_is_too_short() -> None:
    with pytest.raises(CommandError, match="0 queries"):
        call_command("train", "--supervised", stdout=StringIO(), stderr=StringIO())


def test_the_language_alone_is_not_learned_since_nothing_could_judge_it() -> None:
    with pytest.raises(CommandError, match="goes with --supervised"):
        call_command("train", "--pretrain", stdout=StringIO(), stderr=StringIO())
