"""Experiments by their events: what a read-out counts, what stops them, and that a rebuild finds the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from eventlog.consume import drain as drain_projection
from eventlog.database import query, rows, scalar
from eventlog.errors import ConcurrentChange
from eventlog.rebuild import rebuild
from eventlog.services import sequence
from feedback.erasure import shopper_erase
from ranking.experiments.assignment import running
from ranking.experiments.experiment import experiment_get, experiments_running
from ranking.experiments.inputs import experiment_read
from ranking.experiments.projection import experiments
from ranking.experiments.readout import readout
from ranking.experiments.selectors import readings_of
from ranking.experiments.services import ExperimentEnded, SurfaceTaken, experiment_start, experiment_stop
from ranking.experiments.watching import experiments_watch
from tests.cast import SHOP_ID, Shopper, SmallShop, drain
from tests.experiment_shop import AB, answer, start, visit, visits

TABLES = {
    "ranking_experiment": "id", "ranking_experimentreading": "position", "ranking_experimentrequest": "ref",
    "ranking_experiment_erased": "subject_id",
}  # fmt: skip


def everything() -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(f"SELECT * FROM {table} ORDER BY {key}") for table, key in TABLES.items()}


def kinds() -> list[str]:
    sql = "SELECT type FROM eventlog_event WHERE type LIKE 'ranking.Experiment%%' ORDER BY id"
    return [type_.removeprefix("ranking.Experiment") for (type_,) in rows(sql)]


def test_a_read_out_counts_requests_that_were_shown_and_what_followed(shop: SmallShop) -> None:
    experiment = start(shop.clock.now)
    seen, unseen = (answer(shop, experiment, "alice") for _ in range(2))
    shop.record(*visit(shop, "alice", seen, "click", "click", "add_to_cart", "purchase", price=9.95, quantity=3))
    shop.record(*visit(shop, "alice", unseen, "click")[1:])  # without an impression nobody knows what was shown

    (side,) = [each for each in readout(experiment).variants if each.requests]

    assert (side.shoppers, side.requests) == (1, 1)
    assert side.figures == {"ctr": 1.0, "add_to_cart": 1.0, "conversion": 1.0, "revenue": pytest.approx(29.85)}


def test_answers_outside_it_do_not_count(shop: SmallShop, alice: Shopper) -> None:
    experiment = start(shop.clock.now)

    shop.record(alice.sees(["mug"], query="mug"), alice.clicks("mug", query="mug"))

    assert readout(experiment).requests == 0
    assert scalar("SELECT count(*) FROM ranking_experimentrequest") == 0


def test_variants_are_compared_by_shoppers(shop: SmallShop) -> None:
    experiment = start(shop.clock.now, guards={})
    met = visits(shop, experiment, 700, clicks=lambda variant, n: n % (2 if variant == "popular" else 5) == 0)

    found = readout(experiment)

    ctr = next(each for each in found.comparisons if each.metric == "ctr")
    assert {side.variant: side.shoppers for side in found.variants} == met
    assert [ctr.control, ctr.value] == pytest.approx([0.2, 0.5], abs=0.01)
    assert (ctr.verdict, [each.verdict for each in found.comparisons[1:]]) == ("better", ["open"] * 3)


def test_a_variant_that_surely_does_harm_is_stopped_and_its_shoppers_see_what_all_others_see(shop: SmallShop) -> None:
    experiment = start(shop.clock.now)
    visits(shop, experiment, 700, clicks=lambda variant, n: n % (5 if variant == "popular" else 2) == 0)

    stopped = experiments_watch(shop_id=SHOP_ID, now=shop.clock.now)
    drain()

    ended = experiment_get(shop_id=SHOP_ID, id_=experiment.id)
    assert (stopped, ended.state, ended.reason) == (1, "stopped", "guard_rail")
    assert ended.detail == "ctr of popular is surely more than 10% below control's"
    assert kinds() == ["Started", "Read", "Stopped"]
    assert all(running(SHOP_ID, "home", b"%d" % n) is None for n in range(20))
    assert experiments_watch(shop_id=SHOP_ID, now=shop.clock.now) == 0


def test_a_margin_lets_a_variant_be_a_little_worse(shop: SmallShop) -> None:
    experiment = start(shop.clock.now, guards={"ctr": 0.9})
    visits(shop, experiment, 700, clicks=lambda variant, n: n % (5 if variant == "popular" else 2) == 0)

    assert experiments_watch(shop_id=SHOP_ID, now=shop.clock.now) == 0
    drain()
    assert readout(experiment).comparisons[0].verdict == "worse"
    assert kinds() == ["Started", "Read"]


def test_of_three_variants_the_losing_one_goes_and_its_shoppers_do_not_count(shop: SmallShop) -> None:
    more = [{"name": "varied", "settings": {"diversity": 0.3}}]
    experiment = start(shop.clock.now, variants=[*AB["variants"], *more])
    visits(shop, experiment, 900, clicks=lambda variant, n: variant != "popular" and n % 2 == 0)

    experiments_watch(shop_id=SHOP_ID, now=shop.clock.now)
    drain()

    (left,) = experiments_running(shop_id=SHOP_ID)
    found = {each.variant: each for n in range(60) if (each := running(SHOP_ID, "home", b"%d" % n))}
    assert left.stopped == ["popular"]
    assert {name: (dict(each.settings), each.counts, each.label) for name, each in found.items()} == {
        "control": ({}, True, "home-1:control"), "popular": ({}, False, None),
        "varied": ({"diversity": 0.3}, True, "home-1:varied"),
    }  # fmt: skip
    with pytest.raises(ExperimentEnded):
        experiment_stop(shop_id=SHOP_ID, id_="home-1", variant="popular", now=shop.clock.now)
    experiment_stop(shop_id=SHOP_ID, id_="home-1", variant="varied", now=shop.clock.now)
    drain()
    assert experiment_get(shop_id=SHOP_ID, id_="home-1").state == "stopped"  # nothing is left to compare


def test_read_outs_are_noted_as_they_grow_and_not_otherwise(shop: SmallShop) -> None:
    experiment = start(shop.clock.now)
    for visited in (0, 20, 21, 40):
        if visited:
            visits(shop, experiment, visited, clicks=lambda variant, n: False)
        experiments_watch(shop_id=SHOP_ID, now=shop.clock.now)
        experiments_watch(shop_id=SHOP_ID, now=shop.clock.now + timedelta(days=2))
        drain()

    assert [each.requests for each in readings_of(experiment)] == [20, 41, 81]
    assert readings_of(experiment)[0].figures["position"] == readings_of(experiment)[0].position > 0


def test_one_runs_on_a_surface_and_a_stopped_one_makes_room(shop: SmallShop) -> None:
    now = shop.clock.now
    start(now)
    with pytest.raises(SurfaceTaken, match="home-1 runs on home"):
        start(now)
    start(now, surface="basket")

    experiment_stop(shop_id=SHOP_ID, id_="home-1", now=now)

    assert start(now).id == "home-2"
    assert [each.id for each in experiments_running(shop_id=SHOP_ID)] == ["basket-1", "home-2"]
    with pytest.raises(ExperimentEnded):
        experiment_stop(shop_id=SHOP_ID, id_="home-1", now=now)


def test_of_two_operators_at_once_one_is_told_to_look_again(shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    from ranking.experiments import services

    old = services._head(SHOP_ID, "home")
    start(shop.clock.now)
    monkeypatch.setattr(services, "_head", lambda shop_id, surface: old)

    with pytest.raises(ConcurrentChange), transaction.atomic():
        experiment_start(shop_id=SHOP_ID, given=experiment_read(AB), now=shop.clock.now)

    assert kinds() == ["Started"]


def test_what_an_operator_stopped_a_moment_before_is_not_stopped_again(shop: SmallShop) -> None:
    experiment = start(shop.clock.now)
    visits(shop, experiment, 700, clicks=lambda variant, n: n % (5 if variant == "popular" else 2) == 0)
    experiment_stop(shop_id=SHOP_ID, id_=experiment.id, now=shop.clock.now)  # not drained: it seems to run

    assert experiments_watch(shop_id=SHOP_ID, now=shop.clock.now) == 0
    assert kinds().count("Stopped") == 1
    assert experiments_running(shop_id=SHOP_ID)


def test_interleaved_lists_are_read_by_whose_products_were_clicked(shop: SmallShop) -> None:
    experiment = start(
        shop.clock.now, surface="search", kind="interleaving", guards=None,
        variants=[{"name": "old"}, {"name": "new", "settings": {"model": "1.0"}}],
    ) if _first_version(shop) else None  # fmt: skip
    assert experiment is not None
    events = []
    for n in range(200):
        name, teams = f"shopper {n}", "BAB" if n % 5 else "ABA"
        events += visit(shop, name, answer(shop, experiment, name, teams=teams), "click")
    shop.record(*events)

    found = readout(experiment).preference

    assert found is not None
    assert [found.decided, found.shoppers, found.preference] == pytest.approx([200, 200, 0.6])
    assert 0 < found.low < 0.6 < found.high
    assert found.p < 1e-6
    assert found.verdict == "better"


def _first_version(shop: SmallShop) -> bool:
    from ranking.services import model_ensure_first

    model_ensure_first(shop_id=SHOP_ID, now=shop.clock.now)
    drain()
    return True


def test_an_erased_shopper_is_unlinked_and_her_requests_still_count(shop: SmallShop) -> None:
    experiment = start(shop.clock.now)
    for _ in range(2):
        shop.record(*visit(shop, "alice", answer(shop, experiment, "alice"), "click"))
    before = readout(experiment)

    shopper_erase(shop_id=SHOP_ID, shopper_id="alice", now=shop.clock.now)
    drain()

    after = readout(experiment)
    assert (before.requests, after.requests) == (2, 2)
    assert [sum(side.shoppers for side in each.variants) for each in (before, after)] == [1, 2]
    assert scalar("SELECT count(*) FROM ranking_experimentrequest WHERE subject_id IS NOT NULL") == 0


@pytest.mark.parametrize("batch", [1, 3, 10_000])
def test_live_rebuilt_and_however_the_log_is_cut_the_rows_are_the_same(shop: SmallShop, batch: int) -> None:
    experiment = start(shop.clock.now)
    for n in range(6):
        name = f"shopper {n % 4}"
        shared = answer(shop, experiment, name)
        shop.record(*visit(shop, name, shared, "click", "purchase", price=0.1 * n, quantity=n or 1))
        shop.record(*visit(shop, "alice", shared, "click", "add_to_cart")[1:])
        if n == 3:
            shopper_erase(shop_id=SHOP_ID, shopper_id="shopper 0", now=shop.clock.now)
    experiments_watch(shop_id=SHOP_ID, now=shop.clock.now)
    drain()
    experiment_stop(shop_id=SHOP_ID, id_=experiment.id, detail="enough", now=shop.clock.now)
    drain()
    live = everything()

    for table in TABLES:
        query(f"TRUNCATE {table}")
    query("UPDATE eventlog_checkpoint SET position = 0 WHERE consumer = 'experiments'")
    while sequence() > 0 or drain_projection(experiments, batch=batch) > 0:
        pass

    assert everything() == live
    assert all(live.values())
    rebuild("experiments")
    assert everything() == live


def test_a_read_out_of_the_same_rows_is_the_same(shop: SmallShop) -> None:
    experiment = start(shop.clock.now)
    visits(shop, experiment, 150, clicks=lambda variant, n: n % 3 == 0)
    first = readout(experiment)

    rebuild("experiments")

    assert replace(readout(experiment), position=first.position) == first
