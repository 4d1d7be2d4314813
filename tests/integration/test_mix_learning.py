"""Learning a mix: the walk in memory says what serving says, and a mix that does better is shown from then on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from eventlog.database import rows
from feedback.privacy import subject_reference
from ranking.bandit.choosing import State
from ranking.mix_learning import mix_learn, shop_read, visits_read
from ranking.mix_state import arms
from ranking.policies import shop_embed
from ranking.recommending import RecommendRequest, rank
from ranking.strategies.mixes import MIXES
from ranking.strategies.mixing import TERMS, evidence_of
from ranking.strategies.walking import dense_of, pool_of
from ranking.towers import serving
from ranking.visits.memory import Memory
from ranking.visits.sizes import ITEMS
from tests.cast import PRODUCTS, SHOP_ID, Api, Shopper, SmallShop, drain

IDS = [product["product_id"] for product in PRODUCTS]
SETS = (
    ("mug", "teapot", "kettle", "茶杯"),
    ("sneakers", "trainers", "raincoat", "novel"),
    ("speaker", "headphones", "耳机", "beaker"),
)


@pytest.fixture
def busy(shop: SmallShop) -> SmallShop:
    """Shoppers who go through one of three sets each, and start anywhere."""
    shop.clock.now = datetime.now(UTC)
    shop_embed(shop_id=SHOP_ID, now=shop.clock.now)
    chance = np.random.default_rng(3)
    events = []
    shop.clock.tick(seconds=-86_400)
    for n in range(60):
        who = Shopper(f"s{n}", shop.clock)
        shop.clock.tick(seconds=60)
        for product in chance.permutation(SETS[n % 3])[:3]:
            shop.clock.tick(seconds=20)
            events.append(who.buys(str(product)) if chance.random() < 0.4 else who.clicks(str(product)))
    shop.clock.now = datetime.now(UTC)
    shop.record(*events)
    return shop


def test_what_is_remembered_says_what_is_stored(busy: SmallShop) -> None:
    now = busy.clock.now.timestamp() + 3600.0
    shop, row_of = shop_read(SHOP_ID)
    memory = Memory(shop.arrived_at)
    for who, product_id, kind, at in visits_read(SHOP_ID):
        memory.add(who, row_of[product_id], kind, at)
    model = serving.model(SHOP_ID)
    for name in ("s0", "s1", "s2", "nobody"):
        reference = subject_reference(shop_id=SHOP_ID, raw_id=name)
        who = subject_of(reference)
        stored = rank(RecommendRequest(shop_id=SHOP_ID, surface="home", now=now, subject=reference), model, State())
        asked = memory.asked(who, now=now, most=ITEMS)
        dense, popularity = dense_of(shop, asked), memory.popularity(now)
        every = np.arange(len(row_of))
        remembered = evidence_of(asked, pool_of(memory, shop, asked, every, dense=dense, popularity=popularity))
        order = [row_of[product_id] for product_id in stored.found.candidates.product_ids]

        assert len(order) == len(PRODUCTS)
        for k, strategy in enumerate(TERMS):
            assert stored.strength[:, k] == pytest.approx(remembered[order, k], rel=1e-5, abs=1e-6), (name, strategy)


def subject_of(reference: Any) -> Any:
    found = rows("SELECT subject_id FROM feedback_shopper WHERE reference = %s", [reference])
    return found[0][0] if found else None


def test_a_better_mix_is_learned_shown_and_said(
    busy: SmallShop, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ranking.mix_learning.LEAST_CASES", 50)
    monkeypatch.setattr(
        "ranking.mix_state.MIXES", {**MIXES, "home": (MIXES["home"][1],)}
    )  # popular alone: to be beaten
    before = api.get("/v1/recommendations", surface="home").json()["ranking"]["strategy"]

    call_command("learn_mix", "--json")
    drain()

    assert before == "home/new/popular"
    assert api.get("/v1/recommendations", surface="home").json()["ranking"]["strategy"] == "home/new/learned"
    assert "in force" in capsys.readouterr().out
    learned = arms(SHOP_ID, "home")[0]
    assert learned.coefficients["together"] + learned.coefficients["next_for_you"] > 0


def test_a_mix_that_is_no_better_is_kept_with_its_figures_and_not_shown(
    busy: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ranking.mix_learning.LEAST_CASES", 50)
    monkeypatch.setattr("ranking.mix_learning.SURE", 1e9)

    learned = mix_learn(shop_id=SHOP_ID, surface="home", now=busy.clock.now)
    drain()

    assert learned is not None
    assert not learned.accepted
    assert arms(SHOP_ID, "home") == MIXES["home"]
    ((accepted, judged),) = rows("SELECT accepted, (figures->>'judged')::integer FROM ranking_mix")
    assert (accepted, judged) == (False, learned.figures["judged"])


def test_the_same_visits_and_seed_give_the_same_mix(busy: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ranking.mix_learning.LEAST_CASES", 50)
    first, second = (mix_learn(shop_id=SHOP_ID, surface="product", now=busy.clock.now) for _ in range(2))

    assert first is not None
    assert second is not None
    assert first.mix == second.mix
    assert first.figures == second.figures


def test_too_few_visits_are_said_and_record_nothing(shop: SmallShop, alice: Shopper) -> None:
    shop.record(alice.clicks("mug"))

    assert mix_learn(shop_id=SHOP_ID, surface="home", now=shop.clock.now) is None
    with pytest.raises(CommandError, match="Too few visits"):
        call_command("learn_mix")
    assert rows("SELECT count(*) FROM ranking_mix") == [(0,)]
