"""A minor version taught by the shop's judgement list, before there is any feedback: trained and judged; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from zlib import crc32

from feedback.joining import ClickThrough
from ranking.encoders import Encoder
from ranking.judgements import JudgedQuery, judgements_at
from ranking.learning.artefact import artefact_read
from ranking.learning.calibrate import head_calibrated
from ranking.learning.candidate import Candidate, tower_of
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.evaluate import Ranker, judge, remember
from ranking.learning.examples import Example, examples_read
from ranking.learning.gate import LEAST, Trial, gate
from ranking.learning.judged import (
    is_kept,
    judged_examples,
    judged_products,
    list_ndcg,
    relevant_examples,
    wanted_rows,
)
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.learning.train import torch_as, train
from ranking.registry import ModelVersion, artefact_load

# A list is short and its ratings are meant: ten times the passes that clicks get, in smaller batches. On half of Chorus'
# judged queries 10 passes gained the other half 0.001, 30 gained 0.017, and 60 no more.
SUPERVISED = replace(DEFAULTS, batch=16, epochs=30.0)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a version is taught and judged by, all as of `position`: judged queries, and the newest click-throughs."""

    position: int
    teach: Sequence[JudgedQuery]
    kept: Sequence[JudgedQuery]
    recent: Sequence[ClickThrough]

    def products(self) -> set[str]:
        """All products that it names."""
        seen = {product_id for each in self.recent for product_id in each.items}
        return seen | judged_products([*self.teach, *self.kept])


def lesson_read(*, shop_id: int, position: int, recent: Sequence[ClickThrough]) -> Lesson:
    """Part the judgement list of a position; of too few click-throughs none is used."""
    queries = [query for query in judgements_at(shop_id=shop_id, position=position) if max(query.ratings.values()) > 0]
    kept = [query for query in queries if is_kept(shop_id, query.key)]
    teach = [query for query in queries if not is_kept(shop_id, query.key)]
    return Lesson(position, teach, kept, recent if len(recent) >= 2 * LEAST else ())


def supervised_make(
    *,
    parent: ModelVersion,
    frozen: Encoder,
    lesson: Lesson,
    options: TrainOptions = SUPERVISED,
    progress: Callable[[float], None] = lambda share: None,
) -> Candidate:
    """Train, calibrate and judge. Same parent, position, options and threads: the same artefact, byte by byte.

    The queries that judge it calibrate it as well: a head's scale and level change no order.
    """
    seed = crc32(f"{parent.shop_id}/{parent.artefact}/judgements/{lesson.position}".encode())
    base = artefact_read(artefact_load(parent.artefact))
    before = remember(tower_of(frozen, base).encode_query)
    catalogue = catalogue_at(
        shop_id=parent.shop_id, position=lesson.position, major=parent.major, named=lesson.products(),
        pool=options.pool, seed=seed,
    )  # fmt: skip
    half = len(lesson.recent) // 2
    with torch_as(threads=options.threads, seed=seed):
        learned = judged_examples(lesson.teach, catalogue=catalogue, encode=before, options=options)
        trained = train(
            frozen=frozen, parent=base, catalogue=catalogue, examples=learned,
            clicked_for=wanted_rows(lesson.teach, catalogue), options=options, seed=seed, progress=progress,
        )  # fmt: skip
        after = remember(tower_of(frozen, trained.artefact).encode_query)
        clicks = examples_read(lesson.recent, catalogue=catalogue, encode=before, options=options, clicked_for={})
        # where shoppers clicked, ŷ is how likely they want it; else how likely a product was judged to fit
        fitting = clicks[:half] or relevant_examples(lesson.kept, catalogue)
        head = head_calibrated(
            trained.artefact.head, parent=base.head, before=before, after=after, examples=fitting,
            catalogue=catalogue, seed=seed,
        )  # fmt: skip
        serving, candidate = Ranker(before, base.head), Ranker(after, head)
        newest = judge(serving=serving, candidate=candidate, examples=clicks[half:], catalogue=catalogue)
        nothing = judge(serving=serving, candidate=candidate, examples=[], catalogue=catalogue)
        lists = (list_ndcg(side, lesson.kept, catalogue) for side in (serving, candidate))
        serving_list, candidate_list = lists
        verdict = gate(Trial(*newest, *nothing, serving_list, candidate_list, taught_by="judgements"))
    metrics = _metrics(lesson, trained.losses, learned, catalogue)
    metrics |= {"gate": verdict.figures, "options": asdict(options)}
    return Candidate(replace(trained.artefact, head=head), verdict, metrics, seed)


def _metrics(
    lesson: Lesson, losses: Sequence[float], learned: Sequence[Example], catalogue: CatalogueAt
) -> dict[str, Any]:
    tenth = max(1, len(losses) // 10)
    return {
        "taught_by": "judgements",
        "examples": sum(example.teaches for example in learned),
        "judgements": sum(len(query.ratings) for query in lesson.teach),
        "products": len(catalogue.product_ids),
        "steps": len(losses),
        "loss_first": sum(losses[:tenth]) / tenth if losses else None,
        "loss_last": sum(losses[-tenth:]) / tenth if losses else None,
        "judged_to_position": lesson.position,
    }
