"""The benches of training: what they read, what is made of their rounds, and the ways they train in."""

from __future__ import annotations

import random
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from bench.online_shoppers import is_seen
from bench.perturb import PERTURBED, dropped, typed
from bench.robustness import seed_measure
from bench.robustness_ways import taught
from bench.training import LOOPS, RATIOS, summary
from bench.training_data import catalogue_make, pairs_read, products_read
from bench.training_loops import KIND_OF, RUN, Steps, minor
from ranking.encoders import encoder_load
from ranking.learning import train as loop
from ranking.learning.artefact import Artefact
from ranking.learning.examples import Example
from ranking.learning.gradients import backward
from ranking.learning.kinds import KINDS
from ranking.learning.options import TrainOptions
from ranking.relevance import Head
from tests.tiny_encoder import tiny_encoder_write


def round_of(speed: float) -> dict[str, float]:
    return {"examples_per_second": speed, "peak_mb": 100.0, "loss_first": 2.0, "loss_last": 1.0}


def test_ratios_are_medians_of_rounds_and_loops_left_out_have_none() -> None:
    rounds = {"peer": [round_of(10), round_of(5), round_of(20)], "full": [round_of(20), round_of(15), round_of(20)]}

    found = summary(rounds)

    assert found["full_to_peer"] == 2.0
    assert found["lora_to_full"] is None
    assert found["loops"]["peer"]["examples_per_second"] == 10


def test_every_loop_can_run_and_every_kind_of_minor_version_is_held_against_the_peer() -> None:
    assert LOOPS.keys() == RUN.keys()
    assert set(KIND_OF.values()) == set(KINDS)
    assert {each for pair in RATIOS.values() for each in pair} == set(LOOPS)
    assert {(loop, "peer") for loop in KIND_OF} <= set(RATIOS.values())


@pytest.mark.parametrize("loop", KIND_OF)
def test_a_minor_version_of_each_kind_makes_the_steps_asked(loop: str, tmp_path: Path) -> None:
    products, judgments = tmp_path / "products.jsonl", tmp_path / "judgments.csv"
    products.write_text(
        "".join(f'{{"product_id": "{each}", "title": "red {each}"}}\n' for each in ("mug", "lamp", "pen"))
    )
    judgments.write_text("query,docid,rating\nold mug,mug,3\nnew lamp,lamp,3\nblue pen,pen,3\n")
    given = Namespace(
        products=products, judgments=judgments, clicks=None, map=None, encoder=tiny_encoder_write(tmp_path), seed=1,
        batch=2, steps=3, warm_up=1, threads=1, precision="bf16",
    )  # fmt: skip
    steps = Steps(warm_up=1, batch=2)

    losses = minor(loop, given, steps)

    assert len(losses) == len(steps.ends) == 4


def test_a_step_of_the_warm_up_does_not_count() -> None:
    steps = Steps(warm_up=2, batch=8)
    steps.ends = [0.0, 100.0, 101.0, 102.0]

    assert steps.examples_per_second() == 8.0


def test_pairs_are_what_was_rated_well_or_clicked_and_lexical_evidence_needs_no_database(tmp_path: Path) -> None:
    products, judgments, clicks = (tmp_path / name for name in ("products.jsonl", "judgments.csv", "clicks.csv"))
    products.write_text('{"product_id": "a", "title": "red mug"}\n{"product_id": "b", "title": "old lamp"}\n{}\n')
    judgments.write_text("query,docid,rating\nmug,a,3\nmug,b,1\n")
    clicks.write_text("user,query,sku\nu,lamp,b\nu,,a\n")

    known = products_read(products)
    encoder = encoder_load(tiny_encoder_write(tmp_path), home=tmp_path, device="cpu")
    catalogue = catalogue_make(encoder, known, ["a", "b"])

    assert pairs_read(judgments=judgments, clicks=None, seed=1) == [("mug", "a")]
    assert pairs_read(judgments=judgments, clicks=clicks, seed=1) == [("lamp", "b")]
    assert catalogue.lexical("red lamp").tolist() == pytest.approx([0.5, 0.5], abs=0.2)


def test_perturbed_queries_are_the_same_again_and_never_empty() -> None:
    query = "red coffee mugs"

    for kind, perturb in PERTURBED.items():
        one, two = (perturb(query, rate=1.0, rng=random.Random(3)) for _ in range(2))
        assert one == two != query, kind
        assert perturb(query, rate=0.0, rng=random.Random(3)) == query
    assert typed("red mug", rate=1.0, rng=random.Random(1)) == "red mug"  # short words stay
    assert len(dropped(query, rate=1.0, rng=random.Random(1)).split()) == 1


@pytest.mark.parametrize("way", ["r_drop", "awp"])
def test_each_way_to_train_against_errors_learns_and_leaves_the_loop_as_it_was(way: str, tmp_path: Path) -> None:
    encoder = encoder_load(tiny_encoder_write(tmp_path), home=tmp_path, device="cpu")
    products = {title: {"product_id": title, "title": title} for title in ("red mug", "blue mug", "old lamp")}
    catalogue = catalogue_make(encoder, products, list(products))
    examples = [
        Example(1, query, query, np.arange(3), np.eye(3, dtype=np.float32)[n], np.ones(3, dtype=np.float32), shown=True)
        for n, query in enumerate(("large mug", "small mug", "new lamp"))
    ]
    head = Head(dense=10.0, lexical=2.0, intercepts={"query": -5.0}, unknown=0.5)

    with taught(way, head):
        trained = loop.train(
            frozen=encoder, parent=Artefact(head), catalogue=catalogue, examples=examples, clicked_for={},
            options=TrainOptions(batch=3, epochs=15, learning_rate=0.01), seed=1,
        )  # fmt: skip

    assert np.mean(trained.losses[-3:]) < np.mean(trained.losses[:3])
    assert vars(loop)["backward"] is backward


def test_a_round_of_robustness_trains_against_the_worst_words_in_the_steps_and_in_the_time_of_plain_training(
    tmp_path: Path,
) -> None:
    encoder = encoder_load(tiny_encoder_write(tmp_path), home=tmp_path, device="cpu")
    titles = [f"{look} {thing}" for look in ("red", "blue", "old") for thing in ("mug", "lamp", "chair", "shoe")]
    catalogue = catalogue_make(encoder, {each: {"product_id": each, "title": each} for each in titles}, titles)
    ratings = {query: {f"red {query}": 3.0, f"old {query}": 0.0} for query in ("mug", "lamp", "chair", "shoe")}
    arguments = Namespace(clicks=40, steps=3, rate=0.5, variants=1, threads=1, ways=["plain", "fgm 0.05"])

    rows = seed_measure(encoder, catalogue, ratings, arguments, seed=1)

    assert {is_seen(query) for query in ratings} == {True, False}
    assert [(row["way"], row["budget"]) for row in rows] == [
        ("untrained", ""), ("plain", "steps"), ("fgm 0.05", "steps"), ("fgm 0.05", "time"),
    ]  # fmt: skip
    assert [row["steps"] for row in rows[:3]] == [0, 3, 3]
