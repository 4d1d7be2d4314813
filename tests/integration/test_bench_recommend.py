"""bench/recommend.py on a made-up log: what the shop is told when, what it answers, and the command from files to figures."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from bench.harness import PROJECT
from bench.recommend import measure, plan_of, tables
from bench.recommend_freshet import Shop
from bench.recommend_log import DAY, Columns, Log, log_read
from bench.recommend_metrics import P1, P2
from bench.recommend_peers import PEERS
from bench.recommend_protocols import Question
from eventlog.database import rows, scalar
from ranking.strategies.mixes import MIXES

WORDS = ("red mug", "oak table", "wool scarf")
MIX = MIXES["home"][0]


def files_write(folder: Path) -> tuple[Path, Path]:
    """Sixty shoppers, each true to one of three kinds of things, take some over 40 days; one thing comes in at the end."""
    chance = np.random.default_rng(3)
    items = [(f"{kind}{n}", f"{word} number {n}") for kind, word in enumerate(WORDS) for n in range(8)]
    events = [
        (f"s{who}", f"{who % 3}{chance.integers(7 if day < 36 else 8)}", 1_400_000_000 // DAY * DAY + day * DAY)
        for day in range(40)
        for who in chance.choice(60, 10, replace=False).tolist()
    ]
    pd.DataFrame(events, columns=["user_id", "item_id", "timestamp"]).to_csv(folder / "log.csv", index=False)
    pd.DataFrame(items, columns=["item_id", "title"]).to_csv(folder / "items.csv", index=False)
    return folder / "log.csv", folder / "items.csv"


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return log_read(*files_write(tmp_path), Columns())


@pytest.fixture
def told(log: Log, real_db: None) -> Shop:
    shop = Shop(log)
    shop.offer(released_at=int(log.at[-1]))
    return shop


def asked_of(log: Log, number: int) -> Question:
    return Question(shopper=int(log.shopper[number]), at=int(log.at[number]), wanted=(int(log.item[number]),))


def test_the_shop_is_told_what_was_strictly_earlier_with_its_own_time(told: Shop) -> None:
    moment = int(told.log.at[200])

    told.tell(moment)

    assert told.end == told.log.first_from(moment) <= 200
    assert rows("SELECT count(*), max(at) FROM ranking_owned")[0][1] == told.log.at[told.end - 1] < moment
    assert scalar("SELECT min(position) = (SELECT last FROM eventlog_sequencer) FROM eventlog_checkpoint"
                  " WHERE consumer IN ('visits', 'weights')")  # fmt: skip


def test_what_the_shopper_has_is_shown_again_only_where_it_may_be(told: Shop) -> None:
    told.tell(int(told.log.at[-1]))
    question = asked_of(told.log, len(told.log) - 1)
    had = set(told.log.item[: told.end][told.log.shopper[: told.end] == question.shopper].tolist())

    assert had & set(told.rank(question, again=True, mix=MIX).tolist()) == had
    assert not had & set(told.rank(question, again=False, mix=MIX).tolist())


def test_a_shopper_of_whom_nothing_was_told_is_answered_too(told: Shop) -> None:
    assert len(told.rank(asked_of(told.log, 0), again=True, mix=MIX)) == 24


def test_vectors_are_those_of_the_items_in_their_order(told: Shop) -> None:
    vectors = told.vectors()

    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(24), abs=1e-2)
    assert (vectors[0] @ vectors[1:8].T).min() > (vectors[0] @ vectors[8:].T).max()


def plan(log: Log, **changed: Any) -> Any:
    return plan_of(
        log, Namespace(**{"protocol": "p1", "repeats": True, "sample": 30, "seed": 0, "contexts": 30} | changed)
    )


def test_p1_measures_all_by_the_same_keys_and_finds_who_likes_what(log: Log, real_db: None) -> None:
    results = measure(log, plan(log))

    assert set(results["baselines"]) == {*PEERS, "mix"}
    assert {tuple(each) for each in (results["freshet"], *results["baselines"].values())} == {P1}
    assert results["freshet"]["ndcg_at_10"] > results["baselines"]["popularity"]["ndcg_at_10"]
    assert len(tables(results)) == 1


def test_the_command_walks_p2_and_prints_one_json_line(tmp_path: Path) -> None:
    interactions, items = files_write(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "bench.recommend", "--interactions", str(interactions), "--items", str(items),
         "--protocol", "p2", "--sample", "30", "--contexts", "30", "--json"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    results = orjson.loads(done.stdout.splitlines()[-1])
    assert results["questions"] == 30
    assert {tuple(each["all"]) for each in (results["freshet"], *results["baselines"].values())} == {P2}
    assert set(results["freshet"]) == set(results["ratio"]) == {"all", "new"}
    assert results["with_history"]["asked"]["all"] <= results["asked"]["all"] == 30
