"""DP-SGD on a tiny encoder: each example's own gradient, its own list, noise as wide as calibrated, never the same twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ranking.encoders import Encoder, encoder_load
from ranking.learning.artefact import Artefact, artefact_write
from ranking.learning.batches import collate
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.examples import Example
from ranking.learning.kinds import KINDS, adapter_attach
from ranking.learning.losses import LOSSES
from ranking.learning.options import PRIVATE_KINDS, TrainOptions
from ranking.learning.private import (
    NotPrivate,
    example_gradients,
    example_losses,
    noise_of,
    packed,
    per_example,
    train_private,
)
from ranking.learning.train import Trained, train
from ranking.relevance import Head
from tests.learning_shop import PRODUCTS, QUERIES, wish
from tests.tiny_encoder import tiny_encoder_write

HEAD = Head(dense=10.0, lexical=2.0, intercepts={"query": -5.0}, unknown=0.5)
OPTIONS = TrainOptions(epsilon=8.0, private_steps=6, learning_rate=0.01, batch=8, threads=1)
NEGATIVES = np.array([0, 4, 9])


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


def example(query: str, *, shown: int, position: int = 1) -> Example:
    """So many products were shown, and the one wished for was clicked."""
    wanted = PRODUCTS.index(wish(query))
    rows = np.array([wanted, *[row for row in range(len(PRODUCTS)) if row != wanted][: shown - 1]])
    gains = (rows == wanted).astype(np.float32)
    return Example(position, query, query, rows, gains, np.linspace(1, 0.3, shown).astype(np.float32), shown=True)


@pytest.fixture(scope="module")
def shoppers() -> list[list[Example]]:
    return [[example(query, shown=3 + n % 5) for query in QUERIES[n : n + 1 + n % 3]] for n in range(20)]


@pytest.fixture
def run(frozen: Encoder, catalogue: CatalogueAt, shoppers: list[list[Example]]):
    def trained(parent: Artefact | None = None, *, of: list[list[Example]] | None = None, **options: Any) -> Trained:
        draw = {"draw": options.pop("draw")} if "draw" in options else {}
        return train_private(
            frozen=frozen, parent=parent or Artefact(HEAD), catalogue=catalogue, shoppers=shoppers if of is None else of,
            options=replace(OPTIONS, **options), seed=5, **draw,
        )  # fmt: skip

    return trained


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("kind", PRIVATE_KINDS)
def test_each_examples_gradient_is_that_of_training_on_it_alone(
    frozen: Encoder, catalogue: CatalogueAt, shoppers: list[list[Example]], kind: str, loss: str
) -> None:
    options = replace(OPTIONS, adapter=kind, loss=loss)  # type: ignore[arg-type]
    adapter = adapter_attach(frozen, Artefact(HEAD), options, steps=1)
    for n, parameter in enumerate(adapter.parameters):
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(n))
    examples = [each for own in shoppers[:6] for each in own]
    factors, slopes = torch.tensor([0.1, -0.2], requires_grad=True), torch.tensor([HEAD.dense, HEAD.lexical])

    def batch_of(some: list[Example]) -> Any:
        return collate(
            some, catalogue, {}, options, frozen.device, parent=HEAD, before=frozen.encode_query, among=NEGATIVES
        )

    with per_example(adapter.tower.model):
        together = example_gradients(adapter.tower, adapter.parameters, factors, slopes, batch_of(examples), options)
    for row, each in enumerate(examples):
        batch = batch_of([each])
        vectors = adapter.tower.forward([adapter.tower.query_text(each.text)])
        scale = torch.exp(factors) * slopes
        example_losses(scale[0] * vectors @ batch.vectors.T + scale[1] * batch.lexical, batch, options).sum().backward()
        alone = torch.cat(
            [moving.grad.flatten() for moving in (*adapter.parameters, factors) if moving.grad is not None]
        )
        assert torch.allclose(together[row], alone, atol=1e-5 * float(alone.abs().max()), rtol=1e-3)
        for moving in (*adapter.parameters, factors):
            moving.grad = None


def test_a_list_holds_its_own_products_and_public_ones_whoever_else_is_in_the_batch(
    frozen: Encoder, catalogue: CatalogueAt
) -> None:
    one, other = example(QUERIES[0], shown=4), example(QUERIES[9], shown=7)
    batch = collate(
        [one, other], catalogue, {}, OPTIONS, frozen.device, parent=HEAD, before=frozen.encode_query, among=NEGATIVES
    )

    products = np.unique(np.concatenate([one.products, other.products, NEGATIVES]))
    assert set(products[batch.weights[0].numpy() > 0]) == {*one.products.tolist(), *NEGATIVES.tolist()}


def test_the_noise_of_a_step_is_as_wide_as_calibrated(run, frozen: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr("ranking.learning.private.gradients_put", lambda moving, total: seen.append(total.clone()))
    clip = 0.25

    run(of=[], epsilon=3.0, noise_clip=clip, private_steps=40)

    multiplier = noise_of(replace(OPTIONS, epsilon=3.0, private_steps=40), Artefact(HEAD)).multiplier
    assert float(torch.stack(seen).std()) == pytest.approx(multiplier * clip, rel=0.02)
    assert len(seen) == 40


def test_without_noise_shoppers_teach_and_steps_follow_from_the_options_alone(run, frozen: Encoder) -> None:
    learned = run(epsilon=float("inf"), private_steps=25)
    few = run(of=[], private_steps=25)

    head = learned.artefact.head
    assert learned.privacy["steps"] == few.privacy["steps"] == 25
    assert (head.dense, head.lexical) != (HEAD.dense, HEAD.lexical)
    assert max(float(t.abs().max()) for name, t in learned.artefact.tensors.items() if name.endswith("lora_B")) > 0.01


@pytest.mark.parametrize("kind", PRIVATE_KINDS)
def test_private_versions_are_never_the_same_bytes(run, kind: str) -> None:
    assert artefact_write(run(adapter=kind).artefact) != artefact_write(run(adapter=kind).artefact)


def test_only_the_noise_differs_between_two_runs(run) -> None:
    one, two = (run(draw=np.random.default_rng(1).random) for _ in range(2))

    assert artefact_write(one.artefact) == artefact_write(two.artefact)


def test_without_epsilon_options_of_privacy_change_no_byte(
    frozen: Encoder, catalogue: CatalogueAt, shoppers: list[list[Example]]
) -> None:
    examples = [each for own in shoppers for each in own]

    def plainly(**options: Any) -> bytes:
        given = TrainOptions(most_steps=4, batch=8, **options)
        trained = train(
            frozen=frozen, parent=Artefact(HEAD), catalogue=catalogue, examples=examples, clicked_for={}, options=given,
            seed=5,
        )  # fmt: skip
        return artefact_write(trained.artefact)

    assert plainly() == plainly(delta=0.1, noise_clip=9.0, sample_rate=0.1, private_steps=1, public_negatives=1)


def test_a_private_child_goes_on_with_its_parents_kind(run) -> None:
    parent = run(adapter="bottleneck").artefact

    assert run(parent).artefact.adapter == parent.adapter


@pytest.mark.parametrize(
    "options",
    [
        {"adapter": "full"}, {"adapter": "adalora"}, {"adversarial": 0.1}, {"epsilon": 0.0}, {"epsilon": -1.0},
        {"delta": 0.0}, {"delta": 1.0}, {"sample_rate": 0.0}, {"sample_rate": 1.5},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_private_is_not_trained(run, options: dict[str, Any]) -> None:
    with pytest.raises(NotPrivate):
        run(**options)


def test_every_kind_of_adapter_is_private_or_refused(frozen: Encoder, catalogue: CatalogueAt) -> None:
    for kind in set(KINDS) - set(PRIVATE_KINDS):
        with pytest.raises(NotPrivate, match=kind):
            noise_of(OPTIONS, Artefact(HEAD, {"x": torch.zeros(1)}, {"kind": kind}))


def test_shoppers_are_packed_whole() -> None:
    one, three, nine = ([example(QUERIES[0], shown=3)] * count for count in (1, 3, 9))

    assert list(packed([one, three, one, nine, one], 4)) == [[one, three], [one], [nine], [one]]
