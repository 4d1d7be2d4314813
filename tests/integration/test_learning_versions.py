"""Minor versions through the log: trained, judged, committed with the trainer's checkpoint, served, rolled back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eventlog.consume import checkpoint_move, checkpoint_read
from eventlog.errors import LostClaim
from eventlog.services import append
from ranking import training
from ranking.learning.artefact import artefact_write
from ranking.learning.candidate import Candidate, candidate_make, older_read
from ranking.learning.options import TrainOptions
from ranking.learning.ranges import Split
from ranking.learning.unasked import teaching
from ranking.registry import (
    ModelVersion,
    ModelVersionRefusedToServe,
    NothingToRollBackTo,
    model_get,
    model_promote,
    model_rollback,
    model_serving,
    model_versions,
)
from ranking.towers import Serving, encoder_frozen, model_at, query_vectors
from ranking.training import candidate_commit, consumer, range_read, shop_train
from tests.learning_shop import NOW, QUERIES, shop_clicks, shop_fill, shop_visits
from tests.tiny_encoder import tiny_encoder_write

SHOP_ID = 1
EVERY = 200  # 300 click-throughs a version
# random weights are not those of a language model: they take larger steps, and more of them
QUICK = TrainOptions(learning_rate=0.01, epochs=10, most_steps=60, least_overlap=0.0)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_encoder_write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _learning_shop(db: None, settings: Any, tiny_encoder: str) -> None:
    settings.FRESHET_ENCODER = tiny_encoder
    shop_fill(SHOP_ID)


def train_next() -> training.Outcome:
    outcome = shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY, options=QUICK)
    assert outcome is not None
    return outcome


def serving() -> ModelVersion:
    found = model_serving(shop_id=SHOP_ID)
    assert found is not None
    return found


def next_part() -> Split:
    after = checkpoint_read(consumer(SHOP_ID))
    part = range_read(shop_id=SHOP_ID, after=after, every=EVERY)
    assert part is not None
    return part


def make(part: Split) -> Candidate:
    frozen = encoder_frozen(serving().config["encoder_name"])
    return candidate_make(parent=serving(), frozen=frozen, part=part, options=QUICK)


def test_too_little_feedback_trains_nothing() -> None:
    shop_clicks(SHOP_ID, 299, seed=1)

    assert shop_train(shop_id=SHOP_ID, now=NOW, every=EVERY) is None
    assert checkpoint_read(consumer(SHOP_ID)) == 0


def test_clicks_make_a_better_version_which_serves_with_its_checkpoint() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)

    outcome = train_next()

    figures = outcome.metrics["gate"]
    assert outcome.promoted, outcome.reason
    assert figures["candidate"]["mrr"] > figures["serving"]["mrr"] + 0.03
    version = serving()
    assert (version.version, version.parent, version.minor) == ("1.1", "1.0", 1)
    assert version.to_position == checkpoint_read(consumer(SHOP_ID)) > 0


def test_impressions_make_a_better_version_whose_relevance_stays_a_probability() -> None:
    shop_visits(SHOP_ID, 300, seed=2)

    outcome = train_next()

    before, after = outcome.metrics["gate"]["serving"], outcome.metrics["gate"]["candidate"]
    assert outcome.promoted, outcome.reason
    assert after["accuracy"] > before["accuracy"] + 0.02
    assert after["log_loss"] < before["log_loss"]


def test_versions_go_on_from_one_another() -> None:
    shop_clicks(SHOP_ID, 500, seed=1)

    first, second = train_next(), train_next()

    assert (first.version, second.version) == ("1.1", "1.2")
    one, two = model_get(shop_id=SHOP_ID, version="1.1"), model_get(shop_id=SHOP_ID, version="1.2")
    assert two.from_position == one.to_position
    assert two.parent == ("1.1" if first.promoted else "1.0")


def test_shuffled_clicks_are_refused_and_what_served_goes_on() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)
    good = train_next()
    shop_clicks(SHOP_ID, 400, seed=3, shuffled=True)

    outcomes = [train_next(), train_next()]

    assert good.promoted
    assert not any(outcome.promoted for outcome in outcomes)
    refused = model_get(shop_id=SHOP_ID, version="1.2")
    assert refused.state == "refused"
    assert "older click-throughs" in (refused.reason or "")
    assert refused.metrics["gate"]["candidate_past"]["mrr"] < refused.metrics["gate"]["serving_past"]["mrr"] - 0.02
    assert serving().version == "1.1"
    with pytest.raises(ModelVersionRefusedToServe):
        model_promote(shop_id=SHOP_ID, version="1.2", reason="in spite of it", now=NOW)


@pytest.mark.parametrize("seed", [4, 5, 7])
def test_shuffled_clicks_are_refused_or_have_cost_nothing_that_was_known(seed: int) -> None:
    """By luck on the sixty newest, one of them may pass."""
    shop_clicks(SHOP_ID, 300, seed=1)
    train_next()
    shop_clicks(SHOP_ID, 400, seed=seed, shuffled=True)

    for outcome in (train_next(), train_next()):
        figures = outcome.metrics["gate"]
        cost = figures["serving_past"]["mrr"] - figures["candidate_past"]["mrr"]
        assert not outcome.promoted or cost < 0.01
        assert not outcome.promoted or figures["overlap"] > 0.8


def test_the_same_range_seed_and_parent_give_the_same_bytes_whatever_came_later() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)
    part, parent = next_part(), serving()
    first = artefact_write(make(part).artefact)
    shop_clicks(SHOP_ID, 100, seed=9)

    again = next_part()
    second = artefact_write(make(again).artefact)

    assert (again.trained_to, serving()) == (part.trained_to, parent)
    assert second == first


def test_a_trainer_that_was_slower_commits_nothing() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)
    part = next_part()
    candidate = make(part)
    checkpoint_move(consumer=consumer(SHOP_ID), position=0, to=part.trained_to)

    with pytest.raises(LostClaim):
        candidate_commit(parent=serving(), part=part, candidate=candidate, now=NOW)

    assert [version.version for version in model_versions(shop_id=SHOP_ID)] == ["1.0"]


def test_when_the_event_cannot_be_written_the_checkpoint_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    shop_clicks(SHOP_ID, 300, seed=1)

    def broken(**given: Any) -> Any:
        if any(event.event.type == "ranking.ModelVersionPromoted" for event in given["events"]):
            raise ConnectionError("the database went away")
        return append(**given)

    monkeypatch.setattr("ranking.registry.append", broken)
    with pytest.raises(ConnectionError):
        train_next()
    monkeypatch.undo()

    assert checkpoint_read(consumer(SHOP_ID)) == 0
    assert serving().version == "1.0"


def test_an_operators_choice_made_meanwhile_is_not_overruled() -> None:
    shop_clicks(SHOP_ID, 500, seed=1)
    assert train_next().promoted
    part, parent = next_part(), serving()
    candidate = make(part)
    model_rollback(shop_id=SHOP_ID, now=NOW)

    outcome = candidate_commit(parent=parent, part=part, candidate=candidate, now=NOW)

    assert serving().version == "1.0"
    assert model_get(shop_id=SHOP_ID, version=outcome.version).state in {"candidate", "refused"}


def test_rolling_back_walks_to_the_first_version_and_numbers_are_not_used_again() -> None:
    shop_clicks(SHOP_ID, 500, seed=1)
    assert train_next().promoted

    assert model_rollback(shop_id=SHOP_ID, now=NOW) == "1.0"
    training.models_drain()
    with pytest.raises(NothingToRollBackTo):
        model_rollback(shop_id=SHOP_ID, now=NOW)
    outcome = train_next()

    assert outcome.version == "1.2"
    assert model_get(shop_id=SHOP_ID, version="1.2").parent == "1.0"


def test_processes_take_up_a_promoted_version_and_can_still_answer_by_the_old_one() -> None:
    process, other = Serving(), Serving()
    query = QUERIES[0]
    before = query_vectors.get(process.model(SHOP_ID), query)
    shop_clicks(SHOP_ID, 300, seed=1)
    assert train_next().promoted

    after = query_vectors.get(process.model(SHOP_ID), query)

    assert process.model(SHOP_ID).version == other.model(SHOP_ID).version == "1.1"
    assert np.abs(after - before).max() > 1e-3
    assert np.abs(other.model(SHOP_ID).tower.encode_query(query) - after).max() < 1e-6
    assert np.abs(query_vectors.get(model_at(SHOP_ID, "1.0"), query) - before).max() < 1e-6


def test_a_version_that_goes_live_finds_the_busiest_queries_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Serving()
    process.model(SHOP_ID)
    shop_clicks(SHOP_ID, 300, seed=1)
    assert train_next().promoted
    model = process.refresh(SHOP_ID)

    monkeypatch.setattr(type(model.tower), "encode_query", lambda *given: pytest.fail("encoded again"))

    assert all(len(query_vectors.get(model, query)) == 32 for query in QUERIES)


def test_a_version_replays_a_seeded_sample_of_what_closed_before_its_range() -> None:
    shop_clicks(SHOP_ID, 600, seed=1)
    train_next()  # on 400 of them
    shop_clicks(SHOP_ID, 100, seed=2)
    part = next_part()

    older = older_read(part, shop_id=SHOP_ID, share=0.5, seed=3)
    candidate = candidate_make(
        parent=serving(), frozen=encoder_frozen(serving().config["encoder_name"]), part=part,
        options=replace(QUICK, replay=0.5),
    )  # fmt: skip

    assert len({each.impression_position for each in older}) == len(older) == 100
    assert 50 < candidate.metrics["replayed"] < 100  # without those of queries that never teach
    assert max(each.closed_position for each in older) < part.past[0].closed_position <= part.from_position
    assert older == older_read(part, shop_id=SHOP_ID, share=0.5, seed=3)
    assert older != older_read(part, shop_id=SHOP_ID, share=0.5, seed=4)
    taught = len(teaching(part.train, shop_id=SHOP_ID))
    assert candidate.metrics["examples"] == taught + candidate.metrics["replayed"] < 300


def test_a_shops_first_range_has_nothing_to_replay() -> None:
    shop_clicks(SHOP_ID, 300, seed=1)

    assert older_read(next_part(), shop_id=SHOP_ID, share=0.5, seed=3) == []
