"""How well options would have taught a past range: version after version, each judged by click-throughs of after it.

As the trainer does it, but that every version goes on from the one before, promoted or not, and that none is written:
artefacts stay in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from feedback.joining import ClickThrough
from ranking.encoders import Encoder
from ranking.judgements import JudgedQuery, judgements_at
from ranking.learning.artefact import Artefact, artefact_read, artefact_write
from ranking.learning.calibrate import Encode
from ranking.learning.candidate import candidate_make, tower_of
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.evaluate import Ranker, judge, remember
from ranking.learning.examples import Example, examples_read
from ranking.learning.judged import judged_products, list_ndcg
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.learning.ranges import CALIBRATE, Split, clicked
from ranking.registry import ModelVersion, artefact_hash, artefact_load
from ranking.tuning.figures import Figures


@dataclass(frozen=True)
class Fold:
    """What one version learns from, and the click-throughs after it that judge it and taught none of the walk so far."""

    part: Split
    judged: Sequence[ClickThrough]


def folds_of(closed: Sequence[ClickThrough], *, from_position: int, count: int) -> list[Fold]:
    """Part click-throughs in closing order into count + 1 chunks of as many with an outcome; each judges the one before.

    The first fifth of the chunk that judges calibrates the head, as it does in training; it judges nothing.
    """
    ends = [0, *(n for n, each in enumerate(closed, start=1) if clicked(each))]
    size = (len(ends) - 1) // (count + 1)
    calibrating = max(1, round(size * CALIBRATE))
    folds = []
    for n in range(count):
        start, end, after = (ends[size * k] for k in (n, n + 1, n + 2))
        fitted = ends[size * (n + 1) + calibrating]
        part = Split(
            from_position=closed[start - 1].closed_position if start else from_position,
            trained_to=closed[end - 1].closed_position,
            to_position=closed[after - 1].closed_position,
            train=closed[start:end],
            calibrate=closed[end:fitted],
            gate=(),
        )
        folds.append(Fold(part, closed[fitted:after]))
    return folds


class Walk:
    """A past range with the version it starts from; what depends on no option is read once for all that are tried."""

    def __init__(self, *, start: ModelVersion, frozen: Encoder, folds: Sequence[Fold]) -> None:
        self.start, self.frozen, self.folds = start, frozen, folds
        self._judges: dict[int, _Judge] = {}

    @cached_property
    def _base(self) -> Artefact:
        return artefact_read(artefact_load(self.start.artefact))

    @cached_property
    def _before(self) -> Ranker:
        return Ranker(remember(tower_of(self.frozen, self._base).encode_query), self._base.head)

    def figures(
        self, options: TrainOptions, *, folds: int, progress: Callable[[float], None] = lambda share: None
    ) -> Iterator[Figures]:
        """Yield how the version of each of the first folds does, one after the other; `progress` is of each by itself."""
        parent, base = self.start, self._base
        for n, fold in enumerate(self.folds[:folds]):
            candidate = candidate_make(
                parent=parent, frozen=self.frozen, part=fold.part, options=options, base=base, progress=progress
            )
            base = candidate.artefact
            parent = replace(parent, artefact=artefact_hash(artefact_write(base)))
            ranker = Ranker(remember(tower_of(self.frozen, base).encode_query), base.head)
            yield self._judge(n).figures(before=self._before, ranker=ranker)

    def _judge(self, n: int) -> _Judge:
        if n not in self._judges:
            self._judges[n] = _judge_read(self.start, self.folds[n], self._before.encode)
        return self._judges[n]


@dataclass(frozen=True, slots=True)
class _Judge:
    """What judges a fold: its click-throughs and the judgement list, both as of its end."""

    catalogue: CatalogueAt
    examples: Sequence[Example]
    queries: Sequence[JudgedQuery]

    def figures(self, *, before: Ranker, ranker: Ranker) -> Figures:
        _, found = judge(serving=before, candidate=ranker, examples=self.examples, catalogue=self.catalogue)
        keys = [example.key for example in self.examples]
        return Figures(keys, found.mrr, found.accuracy, list_ndcg(ranker, self.queries, self.catalogue))


def _judge_read(start: ModelVersion, fold: Fold, encode: Encode) -> _Judge:
    position = fold.part.to_position
    queries = judgements_at(shop_id=start.shop_id, position=position)
    named = {product for each in fold.judged for product in each.items} | judged_products(queries)
    catalogue = catalogue_at(
        shop_id=start.shop_id, position=position, major=start.major, named=named, pool=DEFAULTS.pool, seed=0
    )
    examples = examples_read(fold.judged, catalogue=catalogue, encode=encode, options=DEFAULTS, clicked_for={})
    return _Judge(catalogue, examples, queries)


def figures_joined(parts: Sequence[Figures]) -> Figures:
    """Those of several folds as one."""
    return Figures(
        [key for part in parts for key in part.keys],
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("mrr", "accuracy", "ndcg")),
    )
