"""Folds: no version of a fold is ever taught a query of it, from the first of a line on."""

from collections import Counter

import numpy as np
import torch

from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.examples import Example
from ranking.learning.folds import FOLDS, fold_of, fold_start, folds_train, is_folded
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.relevance import head_default

HEAD = head_default("tiny")
ONES = np.ones(2, dtype=np.float32)
QUERIES = [f"query {n}" for n in range(200)]


def example(query: str) -> Example:
    return Example(1, query, query, np.array([0, 1]), np.array([1, 0], dtype=np.float32), ONES, True)


def artefact(value: float, *, folds: bool = True) -> Artefact:
    of_folds = tuple({"projection.shift": torch.full((2,), value + n)} for n in range(FOLDS)) if folds else ()
    return Artefact(
        HEAD, {"projection.shift": torch.full((2,), value)}, {"kind": "projection", "rank": 1}, folds=of_folds
    )


def test_a_query_is_always_of_the_same_fold_and_folds_are_alike_in_size() -> None:
    sizes = Counter(fold_of(1, query) for query in QUERIES)

    assert sorted(sizes) == list(range(FOLDS))
    assert min(sizes.values()) > 25
    assert sizes == Counter(fold_of(1, query) for query in QUERIES) != Counter(fold_of(2, query) for query in QUERIES)


def test_each_folds_version_learns_from_all_queries_but_its_own_and_goes_on_from_its_parents() -> None:
    given: list[tuple[float, set[str]]] = []

    def learn(parent: Artefact, examples: object) -> Artefact:
        assert isinstance(examples, list)
        given.append((float(parent.tensors["projection.shift"][0]), {each.key for each in examples}))
        return artefact(float(len(given)), folds=False)

    found = folds_train(artefact(10.0), [example(query) for query in QUERIES], shop_id=1, learn=learn)

    assert [start for start, _ in given] == [10.0, 11.0, 12.0, 13.0, 14.0]
    assert [{fold_of(1, query) for query in taught} for _, taught in given] == [
        set(range(FOLDS)) - {fold} for fold in range(FOLDS)
    ]
    assert [float(each["projection.shift"][0]) for each in found] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_parent_without_folds_was_taught_by_all_queries_so_they_begin_anew() -> None:
    begun = fold_start(artefact(10.0, folds=False), 3)

    assert (begun.tensors, begun.adapter) == ({}, {})


def test_only_what_trains_quickly_and_tells_of_everybody_has_folds() -> None:
    assert is_folded(Artefact(HEAD), DEFAULTS)
    assert not is_folded(Artefact(HEAD), TrainOptions())
    assert not is_folded(Artefact(HEAD, {"x": torch.zeros(1)}, {"kind": "lora"}), DEFAULTS)


def test_an_artefact_keeps_its_folds_apart_from_what_serves() -> None:
    read = artefact_read(artefact_write(artefact(1.0)))

    assert list(read.tensors) == ["projection.shift"]
    assert [float(each["projection.shift"][0]) for each in read.folds] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert artefact_read(artefact_write(artefact(1.0, folds=False))).folds == ()
