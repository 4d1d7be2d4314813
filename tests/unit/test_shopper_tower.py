"""The shopper tower: causal, of use untrained, the same bytes twice; and its loss by the closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from ranking.history import LENGTH, History, Step, merged, pull
from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.courses import Course, courses_of
from ranking.learning.shopper_options import SHOPPER
from ranking.learning.shopper_tower import GAPS, Shape, ShopperTower, gaps_of, shopper_tower
from ranking.learning.shopper_train import collate, sampled_softmax, shares, shopper_train
from ranking.learning.train import torch_as
from ranking.relevance import Head

D, N = 16, 40
HEAD = Head(
    dense=10.0, lexical=2.0, intercepts=dict.fromkeys(("query", "product", "basket", "history"), -5.0), unknown=0.5
)
QUICK = replace(
    SHOPPER, residual=1.0, width=16, batch=8, epochs=40, most_steps=60, dropout=0.0, negatives=20, learning_rate=5e-3
)


@pytest.fixture(scope="module")
def vectors() -> Any:
    found = np.random.default_rng(1).normal(size=(N, D)) + 2.0  # they have much in common, as encoders' have
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def moved() -> ShopperTower:
    """A tower as after some training."""
    with torch_as(threads=1, seed=4), torch.no_grad():
        tower = ShopperTower(Shape(dimensions=D, width=16))
        tower.leave.weight.normal_(std=0.5)
    return tower.train(False)


def steps(*rows: int, kind: str = "click") -> list[Step]:
    return [Step(f"p{row}", kind, 60.0 * n, n + 1) for n, row in enumerate(rows)]


def history(vectors: Any, *rows: int, kind: str = "click") -> History:
    return History(steps(*rows, kind=kind), vectors[list(rows)], {})


def fed(vectors: Any, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(vectors[rows])[None],
        torch.ones(1, len(rows), dtype=torch.long),
        torch.arange(len(rows))[None],
    )


def cycles(count: int) -> list[Course]:
    """Shoppers to whom product n + 1 always follows upon product n."""
    rng = np.random.default_rng(2)
    found = []
    for start in rng.integers(0, N, size=count):
        rows = (start + np.arange(5)) % N
        found.append(Course(steps(*rows.tolist()), rows))
    return found


def mean_rank(tower: ShopperTower, vectors: Any) -> float:
    """Of the product that follows upon three that followed upon one another, from 0."""
    ranks = []
    for start in range(N - 3):
        wants: Any = tower.vector(history(vectors, start, start + 1, start + 2))
        ranks.append(int((vectors @ wants > vectors[start + 3] @ wants).sum()))
    return float(np.mean(ranks))


def test_untrained_it_is_the_decayed_mean_of_the_history(vectors: Any) -> None:
    tower = ShopperTower(Shape(dimensions=D, decay=0.5), centre=vectors.mean(axis=0)).train(False)

    mean = sum(weight * (vectors[row] - vectors.mean(axis=0)) for weight, row in ((0.25, 3), (0.5, 4), (1.0, 5)))
    assert tower.vector(history(vectors, 3, 4, 5)) == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_what_comes_later_changes_nothing_before_it(vectors: Any, moved: ShopperTower) -> None:
    one, other = (moved(*fed(vectors, rows)) for rows in ([1, 2, 3, 4, 5], [1, 2, 3, 30, 31]))

    assert torch.equal(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3:], other[:, 3:], atol=1e-2)


def test_padding_at_the_end_changes_nothing(vectors: Any, moved: ShopperTower) -> None:
    short = moved(*fed(vectors, [7, 8]))
    padded = tuple(functional.pad(each, (0, 0, 0, 5) if each.ndim == 3 else (0, 5)) for each in fed(vectors, [7, 8]))

    assert torch.allclose(moved(*padded)[:, :2], short, atol=1e-6)


def test_every_vector_is_a_unit_vector(vectors: Any, moved: ShopperTower) -> None:
    found = moved.vector(history(vectors, *range(10)))

    assert found is not None
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)


def test_kind_and_order_and_time_matter(vectors: Any, moved: ShopperTower) -> None:
    plain: Any = moved.vector(history(vectors, 1, 2, 3))
    bought, turned = moved.vector(history(vectors, 1, 2, 3, kind="purchase")), moved.vector(history(vectors, 3, 2, 1))
    later = [replace(step, at=step.at * 1e4) for step in steps(1, 2, 3)]
    late = moved.vector(History(later, vectors[[1, 2, 3]], {}))

    assert min(np.abs(plain - each).max() for each in (bought, turned, late)) > 1e-3


def test_nothing_wanted_gives_no_vector_and_the_longest_history_gives_one(vectors: Any, moved: ShopperTower) -> None:
    assert moved.vector(History([], np.zeros((0, 0), dtype=np.float32), {})) is None
    assert moved.vector(history(vectors, 1, 2, kind="dismiss")) is None
    assert moved.vector(history(vectors, *(list(range(30)) * 3))) == pytest.approx(
        moved.vector(history(vectors, *(list(range(30)) * 3)[-LENGTH:]))
    )


def test_what_was_done_with_one_product_in_a_row_is_one_step() -> None:
    done = [Step("mug", "click", 1.0), Step("mug", "purchase", 2.0), Step("mug", "view", 3.0), Step("pen", "view", 4.0)]

    assert merged(done) == [Step("mug", "purchase", 1.0), Step("pen", "view", 4.0)]
    assert pull("purchase") > pull("add_to_cart") > pull("click") > pull("view") > pull("dismiss") == 0


def test_gaps_grow_by_four_and_a_clock_that_ran_back_counts_as_none() -> None:
    ats = [100.0, 100.0, 104.0, 164.0, 50.0, 1e12]

    assert gaps_of([Step("p", "click", at) for at in ats]) == [0, 1, 2, 3, 1, GAPS - 1]
    assert gaps_of([]) == []


def test_it_learns_what_follows_upon_what_and_gives_the_same_bytes_again(vectors: Any) -> None:
    def run() -> bytes:
        with torch_as(threads=1, seed=3):
            trained = shopper_train(courses=cycles(64), vectors=vectors, parent=None, options=QUICK, seed=3)
        losses.append(trained.losses)
        towers.append(trained.tower)
        tensors, shape = trained.tower.read()
        return artefact_write(Artefact(HEAD, shopper=tensors, shopper_shape=shape))

    losses: list[list[float]] = []
    towers: list[ShopperTower] = []
    assert run() == run()
    assert np.mean(losses[0][-5:]) < 0.8 * np.mean(losses[0][:5])
    untrained = ShopperTower(Shape(dimensions=D), centre=vectors.mean(axis=0)).train(False)
    assert mean_rank(towers[0], vectors) < 0.7 * mean_rank(untrained, vectors)


def test_a_child_starts_where_its_parent_ended(vectors: Any, moved: ShopperTower) -> None:
    trained = shopper_train(courses=[], vectors=vectors, parent=moved, options=QUICK, seed=1)

    assert trained.losses == []
    assert trained.tower.vector(history(vectors, 1, 2)) == pytest.approx(moved.vector(history(vectors, 1, 2)), abs=0)


def test_an_artefact_keeps_it_beside_the_adapter_and_one_without_it_reads_as_before(moved: ShopperTower) -> None:
    tensors, shape = moved.read()
    adapter = {"layer.lora_A": torch.ones(2, 3)}
    content = artefact_write(Artefact(HEAD, adapter, {"kind": "lora"}, shopper=tensors, shopper_shape=shape))
    read, plain = artefact_read(content), artefact_read(artefact_write(Artefact(HEAD, adapter, {"kind": "lora"})))

    assert artefact_write(read) == content
    assert set(read.tensors) == set(plain.tensors) == {"layer.lora_A"}
    assert read.shopper_shape == shape
    assert all(
        torch.equal(tensor, shopper_tower(read.shopper, shape).state_dict()[name]) for name, tensor in tensors.items()
    )
    assert plain == Artefact(HEAD, plain.tensors, {"kind": "lora"})


def test_a_head_without_a_personal_part_is_written_as_heads_always_were() -> None:
    assert "personal" not in HEAD.to_dict()
    assert Head.from_dict(HEAD.to_dict()) == HEAD
    assert Head.from_dict(replace(HEAD, personal=3.0).to_dict()).personal == 3.0


def test_sampled_softmax_is_the_cross_entropy_of_corrected_scores() -> None:
    scores, correction = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]), torch.tensor([0.0, -1.0, 0.3])
    wanted, gains = torch.tensor([0, 2]), torch.tensor([1.0, 3.0])

    corrected = np.exp(np.array([[1.0, 1.0, 0.8], [0.0, -1.0, 0.3]]))
    losses = -np.log(corrected[[0, 1], [0, 2]] / corrected.sum(axis=1))
    assert float(sampled_softmax(scores, wanted, gains, correction)) == pytest.approx(
        (losses[0] + 3 * losses[1]) / 4, abs=1e-6
    )
    assert float(sampled_softmax(scores, wanted, torch.zeros(2), correction)) == 0.0
    sure = torch.tensor([[1e4, 0.0, 0.0]])
    assert float(sampled_softmax(sure, torch.tensor([0]), torch.ones(1), correction)) == 0.0


def test_with_all_products_as_candidates_only_popularity_is_corrected() -> None:
    courses = [Course(steps(0, 1, 2), np.array([0, 1, 2])), Course(steps(3, 1), np.array([3, 1]))]
    popularity = shares(courses, 4)

    assert popularity.tolist() == pytest.approx([0.0, 2 / 3, 1 / 3, 0.0])
    batch = collate(courses, np.array([1, 2]), popularity, SHOPPER)
    assert batch.candidates.tolist() == [1, 2]
    assert batch.correction.tolist() == pytest.approx(np.log([2 / 3, 1 / 3]).tolist(), abs=1e-6)
    assert batch.rows.tolist() == [[0, 1], [3, 0]]
    assert batch.places.tolist() == [0, 1, 2]
    assert batch.candidates[batch.wanted].tolist() == [1, 2, 1]


def test_a_range_teaches_what_is_new_and_a_sample_of_the_old_teaches_all() -> None:
    row_of = {f"p{row}": row for row in range(9)}
    done = [steps(1, 2), steps(3, 4, 5, 6), [Step("unknown", "click", 1.0, 9)], steps(7, 8)]

    new = courses_of(done, row_of=row_of, after=2, replay=0.0, seed=1)
    both = courses_of(done, row_of=row_of, after=2, replay=1.0, seed=1)

    assert [(course.rows.tolist(), course.taught) for course in new] == [([3, 4, 5, 6], 2)]
    assert len(both) == 2
    assert (both[0].taught, both[1].taught) == (1, 2)
    assert [course.rows.tolist() for course in courses_of(done, row_of=row_of, after=0, replay=0.0, seed=1)] == [
        [1, 2], [3, 4, 5, 6], [7, 8],
    ]  # fmt: skip
