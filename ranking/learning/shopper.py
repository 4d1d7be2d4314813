"""The shopper tower of a minor version: trained on what shoppers did, and whether searches shall hear it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from feedback.joining import ClickThrough
from ranking.history import History, Step
from ranking.learning.artefact import Artefact
from ranking.learning.catalogue import CatalogueAt
from ranking.learning.courses import courses_of, histories_before, history_of, steps_read, vectors_at
from ranking.learning.evaluate import Ranker
from ranking.learning.examples import Example
from ranking.learning.options import TrainOptions
from ranking.learning.personal import Case, personal_decide
from ranking.learning.ranges import Split
from ranking.learning.shopper_options import SHOPPER, ShopperOptions
from ranking.learning.shopper_tower import ShopperTower, shopper_tower
from ranking.learning.shopper_train import shopper_train
from ranking.learning.train import torch_as
from ranking.registry import ModelVersion

MOST_OF_ONE = 20  # click-throughs of one shopper that decide: what is good for one is not yet good for others
Read = Callable[[Sequence[ClickThrough]], list[Example]]


@dataclass(frozen=True, slots=True)
class ShopperMade:
    """Tensors and shape of the tower, empty where nobody did anything; the slope of the personal part of ŷ; figures."""

    tensors: dict[str, Tensor]
    shape: dict[str, Any]
    personal: float
    figures: dict[str, Any]

    def put_into(self, artefact: Artefact) -> Artefact:
        """The artefact with this tower, and with this much of it in ŷ."""
        head = replace(artefact.head, personal=self.personal)
        return replace(artefact, head=head, shopper=self.tensors, shopper_shape=self.shape)


NO_SHOPPER = ShopperMade({}, {}, 0.0, {"courses": 0})


def shopper_make(
    *,
    parent: ModelVersion,
    base: Artefact,
    part: Split,
    catalogue: CatalogueAt,
    ranker: Ranker,
    read: Read,
    options: TrainOptions,
    seed: int,
    own: ShopperOptions = SHOPPER,
) -> ShopperMade:
    """Train the tower on a range and decide by newer click-throughs whether ŷ has a personal part.

    `base` is the parent's artefact, `ranker` the version that is being made, `read` turns click-throughs into examples.
    Same range, parent, options and threads: the same tensors.
    """
    old = shopper_tower(base.shopper, base.shopper_shape) if base.shopper else None
    steps = steps_read(shop_id=parent.shop_id, position=part.trained_to, interactions=own.interactions)
    calibrate, newest = (_of_known(closed, part.to_position) for closed in (part.calibrate, part.gate))
    told = [*steps, *(past for _, past in [*calibrate, *newest])]
    products = {step.product_id for each in told for step in each} | set(catalogue.product_ids)
    row_of, vectors = vectors_at(
        shop_id=parent.shop_id, position=part.to_position, major=parent.major, products=products
    )
    after = part.from_position if old else 0  # the first tower of a major version has everything to learn
    courses = courses_of(steps, row_of=row_of, after=after, replay=options.replay, seed=seed)
    if not courses and old is None:
        return NO_SHOPPER
    with torch_as(threads=options.threads, seed=seed):
        trained = shopper_train(courses=courses, vectors=vectors, parent=old, options=own, seed=seed)

        def cases(known: Sequence[tuple[ClickThrough, Sequence[Step]]]) -> list[Case]:
            return [
                case
                for each, past in known
                for case in _cases(read([each]), history_of(past, row_of, vectors), trained.tower, ranker, catalogue)
            ]

        decided = personal_decide(fitting=cases(calibrate), judging=cases(newest), head=ranker.head)
    tensors, shape = trained.tower.read()
    figures = _figures(len(courses), trained.losses) | decided.figures | {"options": asdict(own)}
    return ShopperMade(tensors, shape, decided.slope, figures | {"personal": decided.slope})


def _figures(courses: int, losses: Sequence[float]) -> dict[str, Any]:
    tenth = max(1, len(losses) // 10)
    return {
        "courses": courses,
        "steps": len(losses),
        "loss_first": float(np.mean(losses[:tenth])) if losses else None,
        "loss_last": float(np.mean(losses[-tenth:])) if losses else None,
    }


def _of_known(closed: Sequence[ClickThrough], position: int) -> list[tuple[ClickThrough, Sequence[Step]]]:
    """Click-throughs of shoppers with a history, each with it; the newest MOST_OF_ONE of each."""
    counts: Counter[Any] = Counter()
    found = []
    for each, (subject, steps) in reversed(list(zip(closed, histories_before(closed, position=position), strict=True))):
        if steps and counts[subject] < MOST_OF_ONE:
            counts[subject] += 1
            found.append((each, steps))
    return found[::-1]


def _cases(
    examples: Sequence[Example], history: History, tower: ShopperTower, ranker: Ranker, catalogue: CatalogueAt
) -> list[Case]:
    wants = tower.vector(history)
    if wants is None:
        return []
    personal = catalogue.vectors.astype(np.float64) @ wants
    return [
        Case(each, _logits(each.text, ranker, catalogue), personal) for each in examples if float(each.gains.max()) > 0
    ]


def _logits(text: str, ranker: Ranker, catalogue: CatalogueAt) -> Any:
    head = ranker.head
    return head.dense * (catalogue.vectors @ ranker.encode(text)).astype(np.float64) + head.lexical * catalogue.lexical(
        text
    )
