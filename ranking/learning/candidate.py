"""A candidate for the next minor version: trained, calibrated and judged; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from feedback.joining import ClickThrough
from feedback.selectors import older_click_throughs, subjects_at
from ranking.curves import curve_at
from ranking.encoders import Encoder
from ranking.judgements import judgements_at
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import Artefact, artefact_read
from ranking.learning.calibrate import head_calibrated
from ranking.learning.catalogue import CatalogueAt, catalogue_at
from ranking.learning.enrich import enriched
from ranking.learning.ensemble import as_trained, averaged
from ranking.learning.evaluate import Ranker, clicks_compared, crowding_in, judge, overlaps, remember, worth
from ranking.learning.examples import Example, clicked_rows, examples_read
from ranking.learning.expected import expected_lifts
from ranking.learning.gate import Trial, Verdict, gate
from ranking.learning.judged import judged_products, list_ndcg
from ranking.learning.options import DEFAULTS, TrainOptions
from ranking.learning.ranges import Split, clicked
from ranking.learning.robust import capped
from ranking.learning.shopper import NO_SHOPPER, shopper_make
from ranking.learning.shoppers import privately_taught
from ranking.learning.train import Trained, Watch, torch_as, train, unwatched
from ranking.registry import ModelVersion, artefact_load


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained version that nobody has heard of yet."""

    artefact: Artefact
    verdict: Verdict
    metrics: dict[str, Any]
    seed: int


def candidate_make(
    *,
    parent: ModelVersion,
    frozen: Encoder,
    part: Split,
    options: TrainOptions = DEFAULTS,
    base: Artefact | None = None,
    progress: Callable[[float], None] = lambda share: None,
    watch: Watch = unwatched,
    yesterday: ModelVersion | None = None,
    rival: ModelVersion | None = None,
) -> Candidate:
    """Train, calibrate and judge. Same parent, range, options and threads: the same artefact, byte by byte.

    `base` is the parent's artefact where it was never stored. `yesterday` is what served a day before: how far
    first pages drifted since is told with the other figures. `rival` is what serves where that is not the parent, of the
    same major version: it is to be replaced, not beaten. Not the same bytes with `epsilon`: noise is never the same.
    Then only adapter and slopes learn from shoppers, and the gate judges.
    """
    private = options.epsilon is not None
    seed = crc32(f"{parent.shop_id}/{parent.artefact}/{part.from_position}/{part.trained_to}".encode())
    base = base or artefact_read(artefact_load(parent.artefact))
    before = remember(tower_of(frozen, base).encode_query)
    part = robust(part, shop_id=parent.shop_id, most=options.most_of_shopper)
    judged = judgements_at(shop_id=parent.shop_id, position=part.to_position)
    older = [] if private else older_read(part, shop_id=parent.shop_id, share=options.replay, seed=seed)
    catalogue = catalogue_at(
        shop_id=parent.shop_id, position=part.to_position, major=parent.major,
        named=part.products(older) | judged_products(judged), pool=options.pool, seed=seed,
    )  # fmt: skip
    clicked_for = clicked_rows([*older, *part.train], catalogue)
    curve = curve_at(shop_id=parent.shop_id, position=part.to_position)

    def examples(closed: Sequence[ClickThrough]) -> list[Example]:
        return examples_read(
            closed, catalogue=catalogue, encode=before, options=options, clicked_for=clicked_for, curve=curve
        )

    with torch_as(threads=options.threads, seed=seed):
        if private:
            own = privately_taught(
                part.train, shop_id=parent.shop_id, frozen=frozen, parent=base, catalogue=catalogue, options=options,
                seed=seed, before=before, progress=progress,
            )  # fmt: skip
            trained, taught, learned, calibrating = own.trained, own.examples, list[Example](), own.titles
        else:
            learned, calibrating = examples(part.train), examples(part.calibrate)
            taught = enriched(
                [*examples(older), *learned], catalogue=catalogue, encode=before, options=options,
                clicked_for=clicked_for, curve=curve,
            )  # fmt: skip

            def worth_of(reached: Artefact) -> float:
                ranker = Ranker(remember(tower_of(frozen, reached).encode_query), reached.head)
                return worth(ranker, serving=Ranker(before, base.head), examples=calibrating, catalogue=catalogue)

            trained = train(
                frozen=frozen, parent=as_trained(base), catalogue=catalogue, examples=taught, clicked_for=clicked_for,
                options=options, seed=seed, before=before, judge=worth_of, progress=progress, watch=watch,
            )  # fmt: skip
            trained = replace(
                trained, artefact=averaged(trained.artefact, parent=parent, versions=options.average_versions)
            )
        after = remember(tower_of(frozen, trained.artefact).encode_query)
        head = head_calibrated(
            trained.artefact.head, parent=base.head, before=before, after=after, examples=calibrating,
            catalogue=catalogue, seed=seed,
        )  # fmt: skip
        gate_examples = examples(part.gate)
        sides = {
            "serving": ranker_of(frozen, rival) if rival else Ranker(before, base.head),
            "candidate": Ranker(after, head),
        }
        newest = judge(**sides, examples=gate_examples, catalogue=catalogue)
        past = judge(**sides, examples=examples(part.past), catalogue=catalogue)
        serving_list, candidate_list = (list_ndcg(side, judged, catalogue) for side in sides.values())
        moved = overlaps(**sides, examples=gate_examples, catalogue=catalogue)
        drifted = np.zeros(0) if yesterday is None else moved
        if yesterday is not None and yesterday.artefact != parent.artefact:
            then = ranker_of(frozen, yesterday)
            drifted = overlaps(serving=then, candidate=sides["candidate"], examples=gate_examples, catalogue=catalogue)
        clicks = clicks_compared(**sides, examples=gate_examples, catalogue=catalogue, curve=curve, seed=seed)
        trial = Trial(
            *newest, *past, serving_list, candidate_list, overlaps=moved, least_overlap=options.least_overlap,
            day_overlaps=drifted, least_day_overlap=options.least_day_overlap,
            counterfactual=clicks, crowding=crowding_in(**sides, examples=gate_examples, catalogue=catalogue),
            most_crowding=options.most_crowding,
            replaces=rival is not None,
        )  # fmt: skip
        verdict = gate(trial)
        shown = [] if private else [*learned, *calibrating, *gate_examples]
        lifts = expected_lifts(shown, encode=after, head=head, catalogue=catalogue, parent=base.expected)
    shopper = NO_SHOPPER if private else shopper_make(
        parent=parent, base=base, part=part, catalogue=catalogue, ranker=Ranker(after, head), read=examples,
        options=options, seed=seed,
    )  # fmt: skip
    metrics = (
        _metrics(part, trained, taught, catalogue)
        | {"replayed": len(older)}
        | {"shopper": shopper.figures, "gate": verdict.figures, "options": asdict(options)}
        | trained.privacy
    )
    artefact = replace(trained.artefact, head=head, expected=lifts)
    return Candidate(shopper.put_into(artefact), verdict, metrics, seed)


def robust(part: Split, *, shop_id: int, most: int) -> Split:
    """A range without what one shopper repeats."""
    train, calibrate, gate, past = (
        told_by_many(closed, shop_id=shop_id, most=most)
        for closed in (part.train, part.calibrate, part.gate, part.past)
    )
    return replace(part, train=train, calibrate=calibrate, gate=gate, past=past)


def told_by_many(closed: Sequence[ClickThrough], *, shop_id: int, most: int) -> list[ClickThrough]:
    """Click-throughs without those in which one shopper wants a product for more than the `most`-th time."""
    subjects = subjects_at(shop_id=shop_id, positions=[each.impression_position for each in closed])
    return capped(closed, subjects, most=most)


def older_read(part: Split, *, shop_id: int, share: float, seed: int) -> list[ClickThrough]:
    """A seeded sample of the click-throughs before a range and before those by which forgetting shows."""
    before = part.past[0].closed_position if part.past else part.from_position + 1
    count = round(share * sum(clicked(each) for each in part.train))
    return older_click_throughs(shop_id=shop_id, before_position=before, count=count, seed=seed)


def tower_of(frozen: Encoder, artefact: Artefact) -> Encoder:
    """The query tower of an artefact, the encoder itself for one that moves nothing."""
    return tower_with_adapter(frozen, artefact) if artefact.tensors else frozen


def ranker_of(frozen: Encoder, version: ModelVersion) -> Ranker:
    """A version as a judge sees it."""
    artefact = artefact_read(artefact_load(version.artefact))
    return Ranker(remember(tower_of(frozen, artefact).encode_query), artefact.head)


def _metrics(part: Split, trained: Trained, learned: Sequence[Example], catalogue: CatalogueAt) -> dict[str, Any]:
    tenth = max(1, len(trained.losses) // 10)
    return {
        "click_throughs": len(part.train),
        "examples": sum(example.teaches for example in learned),
        "implied": sum(not example.shown for example in learned),
        "products": len(catalogue.product_ids),
        "steps": len(trained.losses),
        "worths": {str(step): worth for step, worth in trained.worths.items()},
        "loss_first": sum(trained.losses[:tenth]) / tenth if trained.losses else None,
        "loss_last": sum(trained.losses[-tenth:]) / tenth if trained.losses else None,
        "judged_to_position": part.to_position,
    }
