"""Private versions through the log: what they cost is on the ledger, refused ones too, and a spent budget ends training."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from eventlog.consume import checkpoint_read, sequence_and_drain
from eventlog.database import rows, scalar
from eventlog.rebuild import rebuild
from feedback.erasure import shopper_erase
from feedback.ranking_token import RankingToken, token_sign
from feedback.selectors import closed_click_throughs, persons_of
from feedback.services import clock_tick
from ranking.learning.artefact import artefact_read, artefact_write
from ranking.learning.candidate import Candidate, candidate_make
from ranking.learning.options import TrainOptions
from ranking.learning.ranges import Split
from ranking.privacy import BadPrivacy, BudgetSpent, Privacy, ledger_read, privacy_of, privacy_set
from ranking.registry import artefact_load, model_get, model_serving
from ranking.selectors import models_answer
from ranking.towers import encoder_frozen
from ranking.training import Outcome, consumer, range_read, shop_train, shop_train_if_allowed
from tests.cast import Shopper, SmallShop
from tests.learning_shop import NOW, shop_clicks, shop_fill, shop_visits
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
EVERY = 67  # 101 click-throughs a version
QUICK = TrainOptions(learning_rate=0.01, private_steps=4, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def learning(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)


def ask_for(epsilon: float | None, *, budget: float = 8.0) -> None:
    privacy_set(shop_id=SHOP_ID, privacy=Privacy(epsilon, 1e-6, budget), now=NOW)
    sequence_and_drain()


def train_next(**options: Any) -> Outcome:
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY, options=replace(QUICK, **options))
    assert outcome is not None
    return outcome


def make(part: Split) -> Candidate:
    parent = model_serving(shop_id=SHOP_ID)
    assert parent is not None
    frozen = encoder_frozen(parent.config["encoder_name"])
    return candidate_make(parent=parent, frozen=frozen, part=part, options=replace(QUICK, epsilon=8.0))


def next_part() -> Split:
    part = range_read(shop_id=SHOP_ID, after=checkpoint_read(consumer(SHOP_ID)), every=EVERY)
    assert part is not None
    return part


def test_versions_are_on_the_ledger_whether_they_serve_or_not_and_a_rebuild_finds_it_again(learning: None) -> None:
    shop_clicks(SHOP_ID, 250, seed=1)
    ask_for(1.0)
    train_next()
    refused = train_next(least_overlap=2.0)

    ledger = ledger_read(shop_id=SHOP_ID)

    assert not refused.promoted
    assert [(each.version, each.epsilon) for each in ledger.spent] == [("1.1", 1.0), ("1.2", 1.0)]
    assert ledger.spent[0].total == pytest.approx(1.0, abs=0.02)
    assert 1.0 < ledger.total < 2.0
    rebuild("models")
    rebuild("privacy")
    assert ledger_read(shop_id=SHOP_ID) == ledger


def test_a_spent_budget_trains_nothing_and_writes_nothing_and_says_why_once(
    learning: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_clicks(SHOP_ID, 250, seed=1)
    ask_for(4.0, budget=5.0)
    train_next()
    said: list[str] = []
    monkeypatch.setattr("ranking.training.log", SimpleNamespace(warning=lambda name, **more: said.append(name)))
    monkeypatch.setattr("ranking.training.train_every", lambda checkpoint: EVERY)
    before = scalar("SELECT count(*) FROM eventlog_event"), checkpoint_read(consumer(SHOP_ID))

    with pytest.raises(BudgetSpent, match="of the privacy budget 5"):
        train_next()
    rested = [shop_train_if_allowed(shop_id=SHOP_ID, now=NOW) for _ in range(3)]

    assert (scalar("SELECT count(*) FROM eventlog_event"), checkpoint_read(consumer(SHOP_ID))) == before
    assert (rested, said) == ([None] * 3, ["training_refused"])
    answer = models_answer(shop_id=SHOP_ID)
    assert "of the privacy budget 5" in answer["privacy"]["refusal"]
    assert [version["epsilon"] for version in answer["versions"]] == [4.0, None]


def test_a_larger_budget_lets_it_train_again_and_what_was_spent_stays_spent_when_it_is_off(learning: None) -> None:
    for seed, privacy in enumerate([(4.0, 5.0), (4.0, 9.0), (None, 9.0)]):
        shop_clicks(SHOP_ID, 120, seed=seed)
        ask_for(privacy[0], budget=privacy[1])
        train_next(most_steps=2)

    ledger = ledger_read(shop_id=SHOP_ID)

    assert [each.version for each in ledger.spent] == ["1.1", "1.2"]
    assert (ledger.bare, ledger.refusal) == (["1.3"], None)
    assert "noise" not in model_get(shop_id=SHOP_ID, version="1.3").metrics


def test_only_those_trained_on_move_a_private_artefact(learning: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those that calibrate else, nor the gate's, nor what was expected where products were shown."""
    shop_visits(SHOP_ID, 101, seed=1)
    train_on = next_part()
    nobody = replace(train_on, calibrate=(), gate=(), past=())

    def noised_alike(part: Split) -> bytes:
        numbers = np.random.default_rng(1)
        monkeypatch.setattr("ranking.learning.noise.os", SimpleNamespace(urandom=numbers.bytes))
        return artefact_write(make(part).artefact)

    one = noised_alike(train_on)

    assert noised_alike(nobody) == one
    assert artefact_read(one).expected == {}


def test_private_versions_of_one_range_are_never_the_same(learning: None) -> None:
    shop_clicks(SHOP_ID, 101, seed=1)
    part = next_part()

    assert artefact_write(make(part).artefact) != artefact_write(make(part).artefact)


def test_a_private_version_serves_from_its_artefact(learning: None) -> None:
    shop_clicks(SHOP_ID, 150, seed=1)
    ask_for(8.0, budget=20.0)
    outcome = train_next(adapter="bottleneck")

    version = model_get(shop_id=SHOP_ID, version=outcome.version)
    assert artefact_read(artefact_load(version.artefact)).adapter["kind"] == "bottleneck"
    assert version.metrics["noise"]["steps"] == version.metrics["steps"] == 4
    assert 30 < version.metrics["shoppers"] <= 50  # of so many are the clicks, and some had none among the first 67
    assert version.metrics["loss_first"] is None


def test_whose_a_click_through_is(shop: SmallShop, alice: Shopper, bob: Shopper) -> None:
    nameless = {"event_id": "n-1", "kind": "click", "product_id": "mug", "query": "mug"}
    at_home = {**nameless, "event_id": "n-2", "session_id": "s-1"}
    shop.record(
        alice.clicks("mug", query="mug"), alice.clicks("teapot", query="tea"), bob.clicks("mug", query="mug"),
        *({**each, "occurred_at": shop.clock.now.isoformat()} for each in (nameless, at_home)),
    )  # fmt: skip
    clock_tick(now=shop.clock.tick(seconds=7200))
    sequence_and_drain()
    closed = closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=2**62)
    positions = [each.impression_position for each in closed]

    persons = persons_of(shop_id=SHOP_ID, positions=positions)

    assert len(closed) == len(persons) == 5
    assert len(set(persons.values())) == 4
    assert [person for position, person in persons.items() if person == str(position)]
    shopper_erase(shop_id=SHOP_ID, shopper_id="alice", now=shop.clock.now + timedelta(seconds=1))
    sequence_and_drain()
    assert len(persons_of(shop_id=SHOP_ID, positions=positions)) == 3


def test_under_an_impression_of_nobody_it_is_of_the_one_who_acted(
    shop: SmallShop, alice: Shopper, bob: Shopper
) -> None:
    def token(query: str) -> str:
        return token_sign(RankingToken(
            shop_id=SHOP_ID, context_kind="query", context_key=query, query=query, now=shop.clock.now.timestamp(),
            model="1.0", positions={}, k=7,
        ))  # fmt: skip

    ours, shared = token("mug"), token("tea")
    seen = {"kind": "impression", "items": ["mug", "teapot"], "occurred_at": shop.clock.now.isoformat()}
    shop.record(
        {**seen, "event_id": "i-1", "ranking_token": ours, "query": "mug"},
        alice.clicks("mug", ranking_token=ours, query="mug"),
        {**seen, "event_id": "i-2", "ranking_token": shared, "query": "tea"},
        alice.clicks("teapot", ranking_token=shared, query="tea"), bob.clicks("mug", ranking_token=shared, query="tea"),
    )  # fmt: skip
    clock_tick(now=shop.clock.tick(seconds=7200))
    sequence_and_drain()
    closed = closed_click_throughs(shop_id=SHOP_ID, after_position=0, to_position=2**62)

    persons = persons_of(shop_id=SHOP_ID, positions=[each.impression_position for each in closed])

    assert len(closed) == 2
    assert list(persons.values()) == [str(rows("SELECT subject_id FROM feedback_interaction ORDER BY position")[0][0])]


def test_the_environment_speaks_for_shops_that_said_nothing(db: None, settings: Any) -> None:
    assert privacy_of(SHOP_ID).epsilon is None
    settings.FRESHET_PRIVACY_EPSILON, settings.FRESHET_PRIVACY_BUDGET = 2.0, 6.0

    assert privacy_of(SHOP_ID) == Privacy(2.0, 1e-6, 6.0)
    ask_for(1.0)
    assert privacy_of(SHOP_ID) == Privacy(1.0, 1e-6, 8.0)


@pytest.mark.parametrize(
    "given", [(0.0, 1e-6, 8.0), (9.0, 1e-6, 8.0), (1.0, 0.0, 8.0), (1.0, 1.0, 8.0), (1.0, 1e-6, float("inf")),
              (float("nan"), 1e-6, 8.0), (None, 1e-6, -1.0)],
)  # fmt: skip
def test_privacy_that_means_nothing_is_refused_and_not_written(db: None, given: tuple[Any, float, float]) -> None:
    with pytest.raises(BadPrivacy):
        privacy_set(shop_id=SHOP_ID, privacy=Privacy(*given), now=NOW)

    assert scalar("SELECT count(*) FROM eventlog_event") == 0


def test_the_command_sets_it_and_shows_the_ledger(learning: None) -> None:
    shop_clicks(SHOP_ID, 250, seed=1)

    def said(*arguments: str) -> str:
        out = StringIO()
        call_command("privacy", *arguments, stdout=out)
        return out.getvalue()

    assert said() == "Versions are trained without privacy noise.\n"
    assert "ε 4 of a shopper, all together 5" in said("--epsilon", "4", "--budget", "5")
    train_next()
    assert "No further version is trained" in said()
    with pytest.raises(CommandError, match="is spent"):
        call_command("train", "--now")
    assert said("--off").startswith("Versions are trained without privacy noise.\n  1.1")
    with pytest.raises(CommandError):
        said("--off", "--epsilon", "1")
