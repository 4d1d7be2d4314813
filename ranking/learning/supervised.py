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
from ranking.learning.expected import expected_lifts
from ranking.learning.gate import LEAST, Trial, gate
from ranking.learning.judged import (
    is_kept,
    judged_examples,
    judged_products,
    list_ndcg,
    relevant_examples,
    wanted_rows,
)
from ranking.learning.options import TrainOptions, as_kind
from ranking.learning.pretrain import PretrainOptions, pretrain, texts_of
from ranking.learning.train import Watch, torch_as, train, unwatched
from ranking.registry import ModelVersion, artefact_load

# A list is short and its ratings are meant: ten times the passes that clicks get, in smaller batches. One half of Chorus'
# judged queries taught, the other was measured, both ways: 10 passes gained 0.007 nDCG@10, 30 gained 0.015, 60 lost 0.016.
# All of it with the options below; none of those that click-throughs are learned with was tried on a list.
SUPERVISED = replace(
    TrainOptions(), batch=16, epochs=30.0, loss="pairwise_sigmoid", learning_rate=5e-4, sampling_power=0.0,
    distillation=0.0, ema=0.0,
)  # fmt: skip


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
    language: PretrainOptions | None = None,
    progress: Callable[[float], None] = lambda share: None,
    watch: Watch = unwatched,
) -> Candidate:
    """Train, calibrate and judge. Same parent, position, options and threads: the same artefact, byte by byte.

    With `language`, the tower first learns the shop's language from its descriptions.
    The queries that judge it calibrate it as well: a head's scale and level change no order.
    """
    seed = crc32(f"{parent.shop_id}/{parent.artefact}/judgements/{lesson.position}".encode())
    base = artefact_read(artefact_load(parent.artefact))
    if base.tensors:
        options = as_kind(options, base.adapter["kind"])
    before = remember(tower_of(frozen, base).encode_query)
    catalogue = catalogue_at(
        shop_id=parent.shop_id, position=lesson.position, major=parent.major, named=lesson.products(),
        pool=options.pool, seed=seed,
    )  # fmt: skip
    half = len(lesson.recent) // 2
    with torch_as(threads=options.threads, seed=seed):
        start, guessed = base, list[float]()
        if language:
            texts = texts_of(catalogue, frozen, words=language.words)
            knowing = pretrain(
                frozen=frozen,
                parent=base,
                texts=texts,
                options=options,
                language=language,
                seed=seed,
                progress=progress,
            )
            start, guessed = knowing.artefact, knowing.losses
        learned = judged_examples(lesson.teach, catalogue=catalogue, encode=before, options=options)
        trained = train(
            frozen=frozen, parent=start, catalogue=catalogue, examples=learned,
            clicked_for=wanted_rows(lesson.teach, catalogue), options=options, seed=seed,
            before=None if language else before, progress=progress, watch=watch,
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
        serving_list, candidate_list = (list_ndcg(side, lesson.kept, catalogue) for side in (serving, candidate))
        verdict = gate(Trial(*newest, *nothing, serving_list, candidate_list, taught_by="judgements"))
        lifts = expected_lifts(clicks, encode=after, head=head, catalogue=catalogue, parent=base.expected)
    metrics = _metrics(lesson, learned, catalogue) | _course(trained.losses) | {"gate": verdict.figures}
    if language:
        metrics["pretrain"] = _course(guessed)
    chosen = asdict(options) | ({"language": asdict(language)} if language else {})
    artefact = replace(
        trained.artefact,
        head=head,
        expected=lifts,
        folds=base.folds,
        shopper=base.shopper,
        shopper_shape=base.shopper_shape,
    )
    return Candidate(artefact, verdict, metrics | {"options": chosen}, seed)


def _metrics(lesson: Lesson, learned: Sequence[Example], catalogue: CatalogueAt) -> dict[str, Any]:
    return {
        "taught_by": "judgements",
        "examples": sum(example.teaches for example in learned),
        "judgements": sum(len(query.ratings) for query in lesson.teach),
        "products": len(catalogue.product_ids),
        "judged_to_position": lesson.position,
    }


def _course(losses: Sequence[float]) -> dict[str, Any]:
    """How many steps there were, and the mean loss of the first and of the last tenth of them."""
    tenth = max(1, len(losses) // 10)
    return {
        "steps": len(losses),
        "loss_first": sum(losses[:tenth]) / tenth if losses else None,
        "loss_last": sum(losses[-tenth:]) / tenth if losses else None,
    }
