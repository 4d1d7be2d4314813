"""The loop on a tiny encoder: pinned losses, the same bytes, the same gradients in less memory, and what each option does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from ranking.encoders import Encoder, encoder_load
from ranking.learning.adapters import APPLIED, tower_with_adapter
from ranking.learning.artefact import Artefact, artefact_write
from ranking.learning.average import Average
from ranking.learning.batches import chances, drawn
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.examples import Example
from ranking.learning.gradients import backward, worst_move
from ranking.learning.kinds import KINDS, adapter_attach
from ranking.learning.losses import LOSSES
from ranking.learning.options import AdapterKind, LossName, TrainOptions
from ranking.learning.stopping import Judge, stop_points
from ranking.learning.train import Trained, train
from ranking.relevance import Head
from tests.learning_shop import PRODUCTS, QUERIES, wish
from tests.tiny_encoder import tiny_encoder_write

HEAD = Head(dense=10.0, lexical=2.0, intercepts={"query": -5.0}, unknown=0.5)
PLAIN = TrainOptions(loss="pairwise_sigmoid", distillation=0.0, ema=0.0, sampling_power=0.0)
QUICK = replace(PLAIN, learning_rate=0.01, most_steps=8, batch=16)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder: Path = tmp_path_factory.mktemp("tiny")
    return encoder_load(tiny_encoder_write(folder), home=folder, device="cpu")


class Words(CatalogueAt):
    """A catalogue without a database: lexical evidence is the share of a query's words."""

    def lexical(self, query: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        asked = set(query.split())
        shares = [len(asked & set(product.split())) / len(asked) for product in self.product_ids]
        return np.array(shares, dtype=np.float32)


@pytest.fixture(scope="module")
def catalogue(frozen: Encoder) -> CatalogueAt:
    vectors = np.stack([frozen.encode_query(product) for product in PRODUCTS])
    return Words(PRODUCTS, vectors, [], ("en",), len(PRODUCTS), 2.0, 1, 1)


def example(catalogue: CatalogueAt, query: str, position: int) -> Example:
    """All products were shown, and the one wished for and the red one were clicked."""
    rows = np.arange(len(PRODUCTS))
    gains = np.isin(PRODUCTS, [wish(query), f"red {query.split()[1]}"]).astype(np.float32)
    return Example(position, query, query, rows, gains, np.ones(len(rows), dtype=np.float32), shown=True)


@pytest.fixture(scope="module")
def examples(catalogue: CatalogueAt) -> list[Example]:
    return [example(catalogue, query, position) for position, query in enumerate(QUERIES * 3)]


@pytest.fixture
def run(frozen: Encoder, catalogue: CatalogueAt, examples: list[Example]):
    def trained(parent: Artefact | None = None, judge: Judge | None = None, **options: object) -> Trained:
        return train(
            frozen=frozen, parent=parent or Artefact(HEAD), catalogue=catalogue, examples=examples, clicked_for={},
            options=replace(QUICK, **options), seed=5, judge=judge,  # type: ignore[arg-type]
        )  # fmt: skip

    return trained


def moved(frozen: Encoder, trained: Trained) -> float:
    """How far the tower's vectors went, in cosine, on average."""
    tower = tower_with_adapter(frozen, trained.artefact)
    return float(np.mean([1 - tower.encode_query(query) @ frozen.encode_query(query) for query in QUERIES]))


PINNED = {
    "info_nce": [2.0113, 2.07, 1.8594, 1.8031, 1.8081, 1.8424, 1.6267, 1.7382],
    "listwise_softmax": [2.1075, 2.1442, 2.0047, 1.956, 1.9563, 1.979, 1.7556, 1.9085],
    "pairwise_sigmoid": [0.2857, 0.2988, 0.2451, 0.2325, 0.2354, 0.2447, 0.1905, 0.2211],
}


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_a_seeded_run_has_the_losses_it_always_had(run, loss: str) -> None:
    assert run(loss=loss).losses == pytest.approx(PINNED[loss], abs=2e-4)


RATES = {"projection": 0.01, "lora": 0.01, "adalora": 0.05, "bottleneck": 0.05, "full": 0.002}


def test_whoever_looks_on_is_told_each_step_and_changes_no_byte(
    run, frozen: Encoder, catalogue: CatalogueAt, examples: list[Example]
) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    watched = train(
        frozen=frozen, parent=Artefact(HEAD), catalogue=catalogue, examples=examples, clicked_for={}, options=QUICK,
        seed=5, watch=lambda step, figures: seen.append((step, dict(figures))),
    )  # fmt: skip

    assert [figures["loss"] for _, figures in seen] == watched.losses
    assert max(figures["learning_rate"] for _, figures in seen) == QUICK.learning_rate
    assert all(figures["gradient_norm"] > 0 for _, figures in seen)
    assert artefact_write(watched.artefact) == artefact_write(run().artefact)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_adapter_learns_and_gives_the_same_bytes_again(run, kind: str) -> None:
    # a projection leaves word embeddings as they are
    adversarial = 0.0 if kind == "projection" else 0.1
    long = {"most_steps": 20, "epochs": 20, "batch": 36, "ema": 0.8, "adversarial": adversarial, "ridge": 0.01}
    first, again = (run(adapter=kind, learning_rate=RATES[kind], **long) for _ in range(2))

    assert np.mean(first.losses[-3:]) < np.mean(first.losses[:3]) - 0.02
    assert artefact_write(first.artefact) == artefact_write(again.artefact)


def test_bf16_learns_as_fp32_does_and_gives_the_same_bytes_again(run) -> None:
    first, again = (run(precision="bf16", most_steps=5) for _ in range(2))

    assert artefact_write(first.artefact) == artefact_write(again.artefact)
    assert first.losses != (exact := run(most_steps=5).losses)
    assert first.losses == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_child_goes_on_with_its_parents_kind(run, frozen: Encoder, kind: str) -> None:
    parent = run(adapter=kind, most_steps=3, learning_rate=0.002).artefact
    child = run(parent, most_steps=1, learning_rate=1e-7, projection_rate=1e-7, head_learning_rate=1e-7).artefact

    one, two = (tower_with_adapter(frozen, each).encode_query(QUERIES[0]) for each in (parent, child))
    assert child.adapter["kind"] == kind
    assert np.abs(one - two).max() < 1e-3


def test_adalora_gives_up_a_third_of_its_ranks(run) -> None:
    tensors = run(adapter="adalora", rank=4, most_steps=9, ema=0.9).artefact.tensors

    values = torch.cat([tensor for name, tensor in tensors.items() if name.endswith("lora_E")])
    assert len(values) == 4 * 6
    assert int((values != 0).sum()) == 4 * 4


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_accumulated_gradients_are_those_of_the_whole_batch(frozen: Encoder, epsilon: float) -> None:
    wanted = torch.nn.functional.normalize(
        torch.randn(32, frozen.dimensions, generator=torch.Generator().manual_seed(1))
    )

    def gradients(at_once: int) -> list[torch.Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(2)
            adapter = adapter_attach(frozen, Artefact(HEAD), TrainOptions(adapter="bottleneck"), steps=1)
        torch.nn.init.ones_(adapter.parameters[2])  # else only `up` has gradients
        texts = [f"{one} {two}" for one in QUERIES[:8] for two in QUERIES[8:12]]

        def loss_of(vectors: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(10 * vectors @ wanted.T, torch.arange(32))  # in-batch negatives

        _, worst = backward(adapter.tower, texts, loss_of, at_once=at_once, epsilon=epsilon)
        if worst:
            backward(adapter.tower, texts, loss_of, at_once=at_once, moves=worst)
        return [parameter.grad for parameter in adapter.parameters if parameter.grad is not None]

    for whole, halves in zip(gradients(32), gradients(16), strict=True):
        assert torch.allclose(whole, halves, atol=1e-6 * float(whole.abs().max()) + 1e-9, rtol=1e-3)


def test_half_the_batch_twice_learns_as_the_whole_batch(run) -> None:
    whole, halves = run(batch=16), run(batch=8, accumulate=2)

    assert halves.losses == pytest.approx(whole.losses, abs=1e-4)


def test_the_worst_move_follows_the_gradient_at_the_length_asked_and_leaves_padding() -> None:
    words = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [7.0, 7.0]]])
    words.grad = torch.tensor([[[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]])

    move = worst_move(words, 0.1)

    assert torch.allclose(move, 0.1 * 5 * words.grad / 5**0.5)
    words.grad = torch.zeros(1, 3, 2)
    assert not worst_move(words, 0.1).any()


def test_moving_words_the_worst_way_raises_the_loss(frozen: Encoder) -> None:
    adapter = adapter_attach(frozen, Artefact(HEAD), TrainOptions(), steps=1)
    wanted = torch.from_numpy(frozen.encode_query("blue chair"))

    def loss_of(vectors: torch.Tensor) -> torch.Tensor:
        return (1 - vectors @ wanted).mean()

    plain, worst = backward(adapter.tower, ["red mug", "old pen"], loss_of, at_once=2, epsilon=0.1)
    moved, _ = backward(adapter.tower, ["red mug", "old pen"], loss_of, at_once=2, moves=worst)

    assert moved > plain + 0.01


def test_distillation_keeps_the_tower_nearer_to_its_parent(run, frozen: Encoder) -> None:
    assert moved(frozen, run(distillation=5.0)) < 0.7 * moved(frozen, run())


def test_the_average_of_weights_goes_less_far_than_the_last_step(run, frozen: Encoder) -> None:
    assert moved(frozen, run(ema=0.9)) < moved(frozen, run())


def test_an_average_is_not_biased_towards_its_start() -> None:
    weights = torch.tensor([0.0])
    average = Average([weights], decay=0.5)
    for value in (1.0, 2.0, 4.0):
        weights.fill_(value)
        average.update()

    average.settle()

    assert float(weights) == pytest.approx((0.25 * 1 + 0.5 * 2 + 1 * 4) / 1.75)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_without_steps_or_decay_weights_stay(decay: float) -> None:
    weights = torch.tensor([3.0])

    Average([weights], decay=decay).settle()

    assert float(weights) == 3.0


def test_stop_points_lie_evenly_up_to_the_last_step() -> None:
    assert stop_points(47, 4) == {12, 24, 36, 47}
    assert stop_points(2, 4) == {1, 2}
    assert stop_points(47, 0) == set()


@pytest.mark.parametrize("kind", ["adalora", "lora"])
def test_training_ends_where_it_is_worth_less_and_gives_what_was_best_in_the_same_bytes(run, kind: str) -> None:
    def ended() -> Trained:
        worths = iter([0.1, 0.3, 0.2, 0.9])
        found: Trained = run(judge=lambda artefact: next(worths), stop_points=4, ema=0.9, adapter=kind)
        return found

    one, two = ended(), ended()

    assert one.worths == {2: 0.1, 4: 0.3, 6: 0.2}
    assert len(one.losses) == 6
    assert artefact_write(one.artefact) == artefact_write(two.artefact)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_being_judged_on_the_way_changes_nothing_that_is_learned(run, kind: str) -> None:
    worths = iter([0.1, 0.2, 0.3, 0.4])
    judged = run(judge=lambda artefact: next(worths), stop_points=4, ema=0.9, adapter=kind)

    assert artefact_write(judged.artefact) == artefact_write(run(ema=0.9, adapter=kind).artefact)


def test_a_query_asked_often_is_drawn_by_power_of_its_count() -> None:
    keys = ["head"] * 8 + ["tail"] * 2

    assert chances(keys, 0.0).tolist() == pytest.approx([0.1] * 10)
    assert chances(keys, 1.0)[:8].sum() == pytest.approx(0.5)
    assert chances(keys, 0.5)[:8].sum() == pytest.approx(8**0.5 / (8**0.5 + 2**0.5))


def test_each_example_is_drawn_as_often_as_its_chance_says_give_or_take_one() -> None:
    chance = chances(["head"] * 8 + ["tail"] * 2, 1.0)

    for count in (1, 7, 20, 101):
        times = np.bincount(drawn(chance, count, np.random.default_rng(count)), minlength=10)
        assert times.sum() == count
        assert np.abs(times - chance * count).max() < 1 + 1e-9


def test_options_name_every_loss_and_every_kind_of_adapter_and_serving_applies_each() -> None:
    assert set(get_args(LossName)) == set(LOSSES)
    assert set(get_args(AdapterKind)) == set(KINDS) == set(APPLIED)
