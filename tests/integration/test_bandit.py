"""The bandit through the log: trials close, arms are summed, rebuilt and erased alike, and a process sees it in a second."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from django.db import connections

from eventlog.consume import drain as drain_projection
from eventlog.database import query, rows, scalar
from eventlog.rebuild import rebuild
from eventlog.selectors import last_position
from feedback.erasure import shopper_erase
from feedback.ranking_token import RankingToken, token_sign
from ranking.bandit.choosing import choose
from ranking.bandit.projection import bandit
from ranking.bandit.services import strategies_put
from ranking.bandit.state import States, bandit_state, state_read
from ranking.choices import ArmName
from ranking.signal_setting import signals_set
from ranking.signals import signals_of
from ranking.weights.options import DEFAULTS
from tests.bandit_cast import START, did, later, log, seen, visits
from tests.cast import SHOP_ID, Shopper, SmallShop, drain

WORTH = {"fresh": 0.1, "learned": 0.4, "plain": 0.2}
TABLES = ("ranking_banditarm", "ranking_banditturn", "ranking_banditclock", "ranking_bandittrial", "ranking_banditset")


def contents() -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES[:2] + TABLES[3:]} | {
        "clock": rows("SELECT * FROM ranking_banditclock ORDER BY 1")
    }


def counts() -> dict[str, tuple[int, float]]:
    return {name.arm: (sums.count, sums.reward) for name, sums in state_read(SHOP_ID).arms.items()}


def test_a_trial_is_counted_once_its_window_has_passed(empty_shop: SmallShop) -> None:
    log((seen("a"), 0), (did("click", "a"), 5))
    before = counts()

    log(later(1800))

    assert before == {}
    ((arm, (count, reward)),) = counts().items()
    assert (arm, count) == ("learned", 1)
    assert reward == pytest.approx(0.1)
    assert scalar("SELECT count(*) FROM ranking_bandittrial") == 0


def test_a_reward_is_what_the_shop_says_that_it_counts(empty_shop: SmallShop) -> None:
    log((seen("a"), 0), (did("click", "a"), 5))
    signals_set(shop_id=SHOP_ID, signals=signals_of(DEFAULTS) | {"click": 4.0}, forced_because="a test", now=START)
    log(later(1800))

    ((_, (_, reward)),) = counts().items()
    assert reward == pytest.approx(0.4)  # of a purchase


def test_answers_of_searches_are_no_trials(empty_shop: SmallShop) -> None:
    log((seen("a", arm="search"), 0), later(1800))

    assert counts() == {}


def test_what_it_taught_is_what_shoppers_did(empty_shop: SmallShop) -> None:
    log(*visits(WORTH, trials=900), later(9000))

    state = state_read(SHOP_ID)
    assert sum(sums.count for sums in state.arms.values()) == 900
    means = state.posterior("home", "known", list(WORTH)).means
    assert means == pytest.approx(list(WORTH.values()), abs=0.12)
    assert choose(state, surface="home", segment="known", arms=list(WORTH), explore=0, seed=1).arm == "learned"


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_are_the_same_however_the_log_is_cut_and_when_rebuilt(empty_shop: SmallShop, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for n in range(4):
        log(*visits(WORTH, trials=120, seed=10 * seed + n, start=n * 3000.0), later(n * 3000.0 + 2000))
        strategies_put(shop_id=SHOP_ID, body={"surface": "home", "explore": 0.1 * (n + 1)}, now=datetime.now(UTC))
        table = signals_of(DEFAULTS) | {"click": 1.0 + n}
        signals_set(shop_id=SHOP_ID, signals=table, forced_because="a test", now=datetime.now(UTC))
    log(*visits(WORTH, trials=50, seed=99, start=20_000.0))  # stays open
    live = contents()

    rebuild("bandit")
    rebuilt = contents()
    query(f"TRUNCATE {', '.join(TABLES)}")
    query("UPDATE eventlog_checkpoint SET position = 0 WHERE consumer = 'bandit'")
    while drain_projection(bandit, batch=int(rng.integers(1, 60))):
        pass

    assert len(live["ranking_bandittrial"]) == 50
    assert rebuilt == live
    assert contents() == live


def test_no_row_says_who_it_was_before_or_after_a_shopper_is_erased(empty_shop: SmallShop, alice: Shopper) -> None:
    at = empty_shop.clock.now.timestamp()
    token = token_sign(
        RankingToken(shop_id=SHOP_ID, context_kind="history", context_key="home", query=None, now=at, model="1.0",
                     arm="home/known/learned", propensity=0.4)
    )  # fmt: skip
    empty_shop.record(alice.sees(["mug"], ranking_token=token), alice.clicks("mug", ranking_token=token))
    subject = scalar("SELECT subject_id FROM eventlog_event WHERE subject_id IS NOT NULL LIMIT 1")
    held = str(rows("SELECT * FROM ranking_bandittrial"))

    shopper_erase(shop_id=SHOP_ID, shopper_id="alice", now=empty_shop.clock.now)
    drain()

    live = contents()
    rebuild("bandit")
    assert "home" in held
    assert subject.hex not in held.replace("-", "")
    assert contents() == live


def test_a_process_sees_what_is_new_and_keeps_what_is_not(empty_shop: SmallShop) -> None:
    log(*visits(WORTH, trials=60), later(9000))
    first = bandit_state(SHOP_ID)
    log(later(9060))
    second = bandit_state(SHOP_ID)
    log(*visits(WORTH, trials=60, seed=2, start=9100.0), later(20_000))
    third = bandit_state(SHOP_ID)

    assert (first.arms, second.position > first.position) == (second.arms, True)
    assert third.arms != second.arms
    assert third.position == last_position()


def test_what_requests_asked_for_is_computed_before_the_new_state_is_asked(empty_shop: SmallShop) -> None:
    log(*visits(WORTH, trials=60), later(9000))
    states = States()
    choose(states.get(SHOP_ID), surface="home", segment="new", arms=list(WORTH), seed=1)
    log(*visits(WORTH, trials=60, seed=2, start=9100.0), later(20_000))

    assert len(states.get(SHOP_ID)._chances) == 1


def test_in_between_it_is_read_in_the_background(real_db: None, settings: Any) -> None:
    settings.FRESHET_MODEL_REFRESH_SECONDS = 0.0
    states = States()
    log(*visits(WORTH, trials=30), later(9000))
    assert states.get(SHOP_ID).arms
    settings.FRESHET_MODEL_REFRESH_SECONDS = 1e-9

    states._read_behind(SHOP_ID)
    states._reading[SHOP_ID].result(timeout=30)

    states._reader.submit(connections.close_all).result()  # else the test's database could not be dropped
    assert ArmName("home", "known", "learned") in states._states[SHOP_ID][0].arms
