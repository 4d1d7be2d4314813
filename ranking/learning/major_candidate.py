"""A candidate for the next major version: both towers trained, the head calibrated, judged; nothing is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast
from zlib import crc32

import orjson
import torch
from torch import Tensor, nn

from feedback.joining import ClickThrough
from ranking.encoders import Encoder, product_text
from ranking.learning.artefact import Artefact, artefact_read
from ranking.learning.calibrate import head_calibrated
from ranking.learning.candidate import tower_of
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.evaluate import Ranker, judge, overlaps, remember
from ranking.learning.examples import Example, examples_read
from ranking.learning.expected import expected_lifts
from ranking.learning.folds import ranker_unasked
from ranking.learning.gate import LEAST, Trial, Verdict, gate
from ranking.learning.judged import list_ndcg, relevant_examples
from ranking.learning.major_job import MajorJob, Towers, job_run
from ranking.learning.major_lesson import MajorLesson
from ranking.learning.major_options import MajorOptions
from ranking.learning.majors import encoded
from ranking.learning.options import DEFAULTS
from ranking.learning.pairings import pairings_read
from ranking.learning.train import torch_as
from ranking.learning.unasked import unasked_compared, unasked_read
from ranking.major_towers import base_name, encoder_named, towers_write
from ranking.registry import ModelVersion, artefact_load

_TRAINING, _ENCODING = 0.85, 0.1  # shares of the time, for the progress bar; the rest calibrates and judges


@dataclass(frozen=True, slots=True)
class MajorCandidate:
    """A trained major version that nobody has heard of yet. `towers` are the bytes of its file."""

    towers: bytes
    artefact: Artefact
    verdict: Verdict
    metrics: dict[str, Any]
    seed: int


def major_make(
    *,
    parent: ModelVersion,
    start: ModelVersion,
    rival: Callable[[], ModelVersion],
    frozen: Encoder,
    lesson: MajorLesson,
    options: MajorOptions,
    processes: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> MajorCandidate | None:
    """Train, calibrate and judge; None when nothing in the lesson was wanted.

    `start` is whose towers are fine-tuned: the parent's, or those of an ancestor whose children shall not be learned from.
    `rival` says what it is judged against when it is trained: the parent may have got children meanwhile. Both rank the
    same products, each by its own vectors: the candidate's are encoded here, in bf16 as the embedder does.
    Same parent, lesson, options and threads: the same bytes of the towers, with one process.
    Raises IndivisibleBatch, MajorProcessesFailed.
    """
    seed = crc32(f"{parent.shop_id}/{start.artefact}/major/{lesson.from_position}/{lesson.trained_to}".encode())
    base = artefact_read(artefact_load(parent.artefact))
    tower = tower_of(frozen, base)
    unasked = unasked_read(shop_id=parent.shop_id, to_position=lesson.position)
    catalogue = catalogue_at(
        shop_id=parent.shop_id, position=lesson.position, major=parent.major, pool=options.pool, seed=seed,
        named=lesson.products() | {product for each in unasked for product in each.items},
    )  # fmt: skip

    def vectors_of(texts: Sequence[str]) -> Any:
        with torch.no_grad():
            return encoded(tower, [tower.query_text(text) for text in texts], options).cpu().numpy()

    with torch_as(threads=options.threads, seed=seed):
        pairings = pairings_read(lesson, catalogue=catalogue, encode=vectors_of, options=options, seed=seed)
        if not pairings:
            return None
        name, own = start.config.get("encoder_name"), artefact_load(start.artefact)
        # as the head weighs cosines: so what is learned needs no other slope beside the words
        job = MajorJob(name, own, artefact_read(own).head.dense, pairings, options, seed)
        towers = job_run(job, processes=processes, progress=lambda share: progress(_TRAINING * share))
        content = _file(towers, name)
        moved = _encoded_again(catalogue, towers.product, lambda share: progress(_TRAINING + _ENCODING * share))
        against, trained = artefact_read(artefact_load(rival().artefact)), artefact_read(own)
        found = _judged(
            trained, frozen, against, towers, lesson, unasked, catalogue, moved, options, seed, start is not parent
        )
    metrics = {
        "taught_by": found.taught_by, "pairings": len(pairings), "examples": len(pairings),
        "queries": len({each.query for each in pairings}), "click_throughs": len(lesson.train),
        "products": len(catalogue.product_ids), "judged_to_position": lesson.position, "processes": processes,
        **_course(towers.losses), "gate": found.verdict.figures, "options": asdict(options),
    }  # fmt: skip
    progress(1.0)
    return MajorCandidate(content, found.artefact, found.verdict, metrics, seed)


@dataclass(frozen=True, slots=True)
class _Found:
    artefact: Artefact
    verdict: Verdict
    taught_by: Literal["clicks", "judgements"]


def _judged(
    base: Artefact, frozen: Encoder, rival: Artefact, towers: Towers, lesson: MajorLesson, unasked: Sequence[ClickThrough],
    catalogue: CatalogueAt, moved: CatalogueAt, options: MajorOptions, seed: int, replaces: bool,
) -> _Found:  # fmt: skip
    """Calibrate the head on what was kept, as that of a minor version, and put the candidate through the gate."""
    before, after = remember(tower_of(frozen, rival).encode_query), remember(towers.query.encode_query)

    def examples(closed: Sequence[Any]) -> list[Example]:
        return examples_read(closed, catalogue=catalogue, encode=before, options=DEFAULTS, clicked_for={})

    calibrating, judging = examples(lesson.calibrate), examples(lesson.gate)
    head = head_calibrated(
        base.head, parent=rival.head, before=before, after=after, catalogue=catalogue, moved=moved, seed=seed,
        examples=calibrating or relevant_examples(lesson.kept, catalogue),
    )  # fmt: skip
    serving, candidate = Ranker(before, rival.head), Ranker(after, head, moved.vectors)
    newest = judge(serving=serving, candidate=candidate, examples=judging, catalogue=catalogue)
    nothing = judge(serving=serving, candidate=candidate, examples=[], catalogue=catalogue)
    serving_list, candidate_list = (list_ndcg(side, lesson.kept, catalogue) for side in (serving, candidate))
    taught_by: Literal["clicks", "judgements"] = "clicks" if len(judging) >= LEAST else "judgements"
    moves = overlaps(serving=serving, candidate=candidate, examples=judging, catalogue=catalogue)
    lifts = expected_lifts([*calibrating, *judging], encode=after, head=head, catalogue=moved, parent=rival.expected)
    never = unasked_compared(
        serving=ranker_unasked(frozen, rival, shop_id=catalogue.shop_id), candidate=candidate, closed=unasked,
        shop_id=catalogue.shop_id, catalogue=catalogue, lifts=(rival.expected, lifts),
    )  # fmt: skip
    trial = Trial(
        *newest, *nothing, serving_list, candidate_list, taught_by=taught_by, overlaps=moves, unasked=never,
        queries=[each.key for each in judging], least_overlap=options.least_overlap, replaces=replaces, costly=True,
    )  # fmt: skip
    verdict = gate(trial)
    return _Found(Artefact(head, expected=lifts), verdict, taught_by)


def _encoded_again(catalogue: CatalogueAt, product: Encoder, progress: Callable[[float], None]) -> CatalogueAt:
    """The same products by the candidate's product tower, in bf16 as the embedder will encode them."""
    tower = copy.copy(product)
    tower.model = copy.deepcopy(product.model)
    cast("nn.Module", tower.model).to(torch.bfloat16)
    tower.precision = "bf16"
    texts, done = [product_text(orjson.loads(content)) for content in catalogue.contents], 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress(done / len(texts))

    return replace(catalogue, vectors=tower.encode_products(texts, progress=moved))


def _file(towers: Towers, name: str | None) -> bytes:
    """What differs from the pre-trained encoder, whatever earlier major versions moved."""
    pretrained = base_name(name)
    base = encoder_named(pretrained, side="query", precision="fp32")
    own = dict(base.model.named_parameters())

    def moved(tower: Encoder) -> dict[str, Tensor]:
        return {
            each: parameter.detach().cpu()
            for each, parameter in tower.model.named_parameters()
            if not torch.equal(parameter, own[each])
        }

    return towers_write(query=moved(towers.query), product=moved(towers.product), base=base, base_name=pretrained)


def _course(losses: Sequence[float]) -> dict[str, Any]:
    """How many steps there were, and the mean loss of the first and of the last tenth of them."""
    tenth = max(1, len(losses) // 10)
    return {
        "steps": len(losses),
        "loss_first": sum(losses[:tenth]) / tenth if losses else None,
        "loss_last": sum(losses[-tenth:]) / tenth if losses else None,
    }
