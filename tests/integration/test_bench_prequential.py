"""bench/prequential.py on a made-up shop: what counts when, and that years-old clicks weigh what their age deserves."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.harness import PROJECT
from bench.prequential_log import Click, arrivals, clicks_read, moment, until, visible_at, words
from bench.prequential_peer import PlainCounts
from bench.prequential_walk import Shop, Stretch, best_fixed_order, walk
from eventlog.database import rows
from ranking.policies import shop_embed
from tests.cast import SHOP_ID, TEN_O_CLOCK, SmallShop

PRODUCTS = """sku,name,start_date
1,Halo: Reach,2010-09-14
2,Halo 3: ODST,2009-09-22
3,Madden NFL 12,2011-08-30
4,Just Dance 3,2011-10-11
"""
CLICKS = """user,query,query_time,sku,click_time
a,halo,2011-09-09 10:00:00,2,2011-09-09 10:00:30
b,Halo!,2011-09-10 10:00:00,2,2011-09-10 10:00:20.5
c,football,2011-09-10 10:10:00,3,2011-09-10 10:10:30
d,football,2011-09-10 10:10:10,3,2011-09-10 10:12:00
e,Football,2011-09-10 11:05:00,3,2011-09-10 11:05:10
f,  ,2011-09-10 12:00:00,3,2011-09-10 12:00:10
g,football,2011-09-11 09:00:00,99,2011-09-11 09:00:10
h,football,yesterday,3,2011-09-11 09:00:10
"""
START = moment("2011-09-10")


def click(query: str, asked: str, product_id: str, clicked: str, user: str = "u") -> Click:
    row = {"user": user, "query": query, "query_time": asked, "sku": product_id, "click_time": clicked}
    return Click(
        query=query,
        words=words(query),
        product_id=product_id,
        asked_at=moment(asked),
        clicked_at=moment(clicked),
        row=row,
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "clicks.csv").write_text(CLICKS)
    (tmp_path / "products.csv").write_text(PRODUCTS)
    return tmp_path


def test_rows_are_read_in_the_order_of_their_queries_and_bad_ones_are_counted(log: Path) -> None:
    clicks, bad = clicks_read(log / "clicks.csv")

    assert (len(clicks), bad) == (7, 1)
    assert [each.product_id for each in clicks][:2] == ["2", "2"]


def test_a_file_that_is_no_click_log_is_refused_by_name(log: Path) -> None:
    with pytest.raises(ValueError, match=r"user, query, query_time, click_time is missing"):
        clicks_read(log / "products.csv")


@pytest.mark.parametrize(
    ("one", "other"), [("Gears of War!", "gears  OF war"), ("halo-3", "halo 3"), ("蓝牙 耳机", "蓝牙 耳机 ")]
)
def test_queries_with_the_same_words_are_the_same(one: str, other: str) -> None:
    assert words(one) == words(other) != ""


def test_another_script_has_words_too() -> None:
    assert words("耳机") != words("茶杯")


@pytest.mark.parametrize(
    ("sync", "expected"),
    [(0, "2011-09-10 10:12:00"), (3600, "2011-09-10 11:00:00"), (86400, "2011-09-11"), (604800, "2011-09-15")],
)
def test_a_click_becomes_visible_at_the_next_sync(sync: int, expected: str) -> None:
    one = click("football", "2011-09-10 10:10:10", "3", "2011-09-10 10:12:00")

    assert visible_at(one, sync) == moment(expected)
    assert visible_at(one, "never") == math.inf
    assert arrivals([one], "never") == []


def test_a_day_ends_at_its_end() -> None:
    assert until("2011-09-10") == moment("2011-09-11")
    assert until("2011-09-10T12:00") == moment("2011-09-10T12:00")


class Recorder:
    """Ranks nothing, remembers what it was told when."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def apply(self, clicks: Sequence[Click]) -> None:
        self.said += [("click", each.row["user"]) for each in clicks]

    def rank(self, query: str, now: float) -> dict[str, list[str]]:
        self.said.append(("ask", query))
        return {"weights": ["1", "3"]}


def walked(log: Path, sync: Any) -> tuple[Recorder, dict[str, Any]]:
    clicks, _ = clicks_read(log / "clicks.csv")
    recorder = Recorder()
    stretch = Stretch(clicks, start=START, end=math.inf, sync=sync)
    return recorder, walk(stretch, recorder.apply, recorder.rank, label="test")["weights"].figures()


def test_a_query_is_asked_before_its_own_click_and_after_those_that_came_before(log: Path) -> None:
    recorder, figures = walked(log, 0)

    assert recorder.said[:6] == [
        ("ask", "Halo!"),
        ("click", "b"),
        ("ask", "football"),
        ("ask", "football"),  # c has not clicked yet
        ("click", "c"),
        ("click", "d"),
    ]
    assert (figures["queries"], figures["new_queries"]["queries"]) == (5, 2)
    assert figures["map_at_5"] == pytest.approx((0 + 0.5 + 0.5 + 0.5 + 0) / 5)
    assert figures["new_queries"]["mrr"] == 0.5


def test_a_later_sync_leaves_more_queries_new(log: Path) -> None:
    assert walked(log, 3600)[1]["new_queries"]["queries"] == 2
    assert walked(log, 86400)[1]["new_queries"]["queries"] == 3
    assert walked(log, "never")[1]["new_queries"]["queries"] == 4


@pytest.fixture
def games(empty_shop: SmallShop) -> Shop:
    names = {"reach": "Halo: Reach", "odst": "Halo 3: ODST", "madden": "Madden NFL 12"}
    empty_shop.offer(*({"product_id": id_, "title": name, "language": "en"} for id_, name in names.items()))
    return Shop()


@pytest.fixture
def learning(games: Shop, settings: Any) -> Shop:
    settings.FRESHET_TRAIN_EVERY = 100
    shop_embed(shop_id=SHOP_ID, now=TEN_O_CLOCK)
    return Shop(learn=True)


def many(query: str, product_id: str, at: str, count: int) -> list[Click]:
    return [click(query, at, product_id, at, user=f"{product_id}-{n}") for n in range(count)]


def test_a_click_counts_for_the_next_query_at_once(games: Shop) -> None:
    now = moment("2011-09-10 10:00:00")
    before = games.rank("football", now)["weights"]

    games.apply(many("football", before[-1], "2011-09-10 09:59:59", 20))

    assert games.rank("football", now)["weights"][0] == before[-1]


def test_clicks_of_2011_weigh_what_their_age_deserves_in_2011(games: Shop) -> None:
    games.apply(many("halo", "odst", "2011-08-20 10:00", 20))
    games.apply(many("halo", "reach", "2011-09-20 10:00", 10))

    assert games.rank("halo", moment("2011-09-20 10:01"))["weights"][0] == "reach"
    [(reward, at)] = rows("SELECT reward, at FROM ranking_context")
    assert at == moment("2011-09-20 10:00")  # not the day of the import
    assert reward == pytest.approx(20 * 0.5**3.1 + 10)  # half-life 10 days


def test_theta_learns_as_the_clicks_come_in_and_is_read_beside_the_weights(learning: Shop) -> None:
    for hour in range(10, 16):
        learning.apply(many("halo", "odst", f"2011-09-10 {hour}:00", 30))

    assert learning.versions
    assert set(learning.rank("halo", moment("2011-09-10 17:00"))) == {"weights", "theta", "both"}


def test_the_best_fixed_order_knows_the_answers_and_still_misses_what_changes() -> None:
    asked = [*many("halo", "odst", "2011-09-10", 3), *many("halo", "reach", "2011-09-11", 1)]

    assert best_fixed_order(asked) == pytest.approx((3 * 1 + 1 * 0.5) / 4)


def test_plain_counts_rank_by_clicks_then_by_words() -> None:
    peer = PlainCounts({"1": "Halo: Reach", "2": "Halo 3: ODST", "3": "Madden NFL 12"})
    now = moment("2011-09-10")

    assert peer.rank("madden", now)["plain"][0] == "3"
    peer.apply([click("madden", "2011-09-09", "2", "2011-09-09"), click("madden", "2011-09-09", "99", "2011-09-09")])
    assert peer.rank("Madden", now)["plain"][0] == "2"


def test_the_command_walks_all_syncs_and_prints_one_json_line(log: Path) -> None:
    arguments = ["--products", str(log / "products.csv"), "--clicks", str(log / "clicks.csv"), "--start", "2011-09-10"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "bench.prequential", *arguments, "--json"],
        cwd=PROJECT, env=environment | {"FRESHET_ENCODER": "minilm"}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    results = orjson.loads(done.stdout.splitlines()[-1])
    assert (results["queries"], results["new_queries"]["queries"], results["skipped_queries"]) == (5, 2, 1)
    assert list(results["sync"]) == ["0", "3600", "86400", "never"]
    assert results["clicks_on_unknown_products"] == 1
    assert results["unreadable_rows"] == 1
    assert results["sync"]["0"]["map_at_5"] >= results["sync"]["never"]["map_at_5"]
