"""Folds: every query judges a recipe, by a version that was never taught that query.

A projection trains in a second, so beside the version that may serve, which all queries teach, one is trained for each
fold of the queries without them: same range, replay, seed and options. It goes on from its parent's of the same fold, so
that nothing in its whole line was taught by them. What these versions do for the queries kept from them is what the recipe
does for queries nobody asked; they serve nobody. What serves is judged by its own folds, on the same lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np
from torch import Tensor

from feedback.contexts import context_key
from ranking.encoders import Encoder
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import Artefact
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.evaluate import Doubles, Ranker, pair_accuracy, remember
from ranking.learning.examples import Example
from ranking.learning.options import TrainOptions
from ranking.learning.paired import by_query
from ranking.learning.projection import KIND
from ranking.learning.unasked import Surroundings, lifts_by_row, score_unasked, surroundings_read

FOLDS = 5  # each version of a fold knows four fifths of the queries; more would come nearer to all, and cost as many trainings
MOST = 500  # queries that judge, those asked last: they cost two milliseconds each
Learn = Callable[[Artefact, Sequence[Example]], Artefact]  # from a parent and examples to what is trained on them


def is_folded(start: Artefact, options: TrainOptions) -> bool:
    """Whether what is trained from here is quick enough to be trained for each fold as well, and tells that of nobody."""
    kind = start.adapter["kind"] if start.tensors else options.adapter
    return kind == KIND and options.epsilon is None


def fold_of(shop_id: int, key: str) -> int:
    """The fold of a query, always the same one of a shop: which follows from its words, so a line of versions keeps it."""
    return int.from_bytes(sha256(f"{shop_id}/fold/{key}".encode()).digest()[:8], "big") % FOLDS


def folds_train(
    start: Artefact,
    examples: Sequence[Example],
    *,
    shop_id: int,
    learn: Learn,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Tensor], ...]:
    """The tensors of each fold's version: trained without the queries of that fold, as all its ancestors were."""
    found = []
    for fold in range(FOLDS):
        others = [each for each in examples if fold_of(shop_id, each.key) != fold]
        found.append(learn(fold_start(start, fold), others).tensors)
        progress((fold + 1) / FOLDS)
    return tuple(found)


def fold_start(start: Artefact, fold: int) -> Artefact:
    """What the version of a fold goes on from: its parent's; nothing where there is none, for all queries taught the parent."""
    tensors = start.folds[fold] if start.folds else {}
    return replace(start, tensors=tensors, adapter=start.adapter if tensors else {}, folds=(), trained={})


def ranker_unasked(frozen: Encoder, artefact: Artefact, *, shop_id: int) -> Ranker:
    """A version as queries meet it that taught it nothing: each by the tower of its fold, where the version has folds."""
    if not artefact.folds:
        return Ranker(remember(_tower(frozen, artefact).encode_query), artefact.head)
    towers = [_tower(frozen, replace(artefact, tensors=tensors)) for tensors in artefact.folds]
    return Ranker(remember(lambda text: towers[fold_of(shop_id, context_key(text))].encode_query(text)), artefact.head)


def _tower(frozen: Encoder, artefact: Artefact) -> Encoder:
    return tower_with_adapter(frozen, artefact) if artefact.tensors else frozen


def folds_compared(
    *,
    serving: Ranker,
    candidate: Ranker,
    lists: Sequence[Example],
    catalogue: CatalogueAt,
    now: float,
    lifts: tuple[Mapping[str, float], Mapping[str, float]],
) -> tuple[Doubles, Doubles]:
    """How well both versions order what each query's shoppers preferred, as if nobody had asked it before: pair accuracy, (Q,).

    `lifts` is what each version expects of exposure, by product id.
    """
    keys = list(dict.fromkeys(each.key for each in sorted(lists, key=lambda each: -each.position)))[:MOST]
    around = surroundings_read(shop_id=catalogue.shop_id, keys=sorted(keys), catalogue=catalogue, now=now)
    chosen = [each for each in lists if each.key in around.asked]
    before, after = (
        by_query(_accuracies(ranker, chosen, catalogue, around, expected), [each.key for each in chosen])
        for ranker, expected in zip((serving, candidate), lifts, strict=True)
    )
    return before, after


def _accuracies(
    ranker: Ranker, lists: Sequence[Example], catalogue: CatalogueAt, around: Surroundings, lifts: Mapping[str, float]
) -> Doubles:
    expected, scores = lifts_by_row(lifts, catalogue), dict[str, Doubles]()
    found = []
    for each in lists:
        if each.key not in scores:
            scores[each.key] = score_unasked(
                ranker, each.text, each.key, catalogue=catalogue, around=around, expected=expected
            )
        found.append(pair_accuracy(scores[each.key][each.products], each.gains.astype(np.float64), each.weights))
    return np.array(found, dtype=np.float64)
