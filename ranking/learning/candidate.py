"""A candidate for the next minor version: trained, calibrated and judged; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from zlib import crc32

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
from ranking.learning.evaluate import Ranker, remember, worth
from ranking.learning.examples import Example, clicked_rows, examples_read
from ranking.learning.expected import expected_lifts
from ranking.learning.folds import FOLDS, folds_compared, folds_train, is_folded, ranker_unasked
from ranking.learning.gate import Verdict, gate
from ranking.learning.judged import judged_products
from ranking.learning.options import DEFAULTS, PRIVATE_KINDS, TrainOptions, as_kind
from ranking.learning.pooled import pooled
from ranking.learning.projection import frozen_in_training
from ranking.learning.ranges import Split, clicked
from ranking.learning.robust import capped
from ranking.learning.shopper import NO_SHOPPER, shopper_make
from ranking.learning.shoppers import privately_taught
from ranking.learning.train import Trained, Watch, torch_as, train, unwatched
from ranking.learning.trials import NOTHING, trial_of
from ranking.learning.unasked import teaching, unasked_compared, unasked_read
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

    What trains quickly is taught by all queries and judged by its folds; of other kinds the kept queries teach none.
    A line keeps its kind of adapter: of options for another kind, what was chosen counts, over the defaults of the line's.
    `base` is the parent's artefact where it was never stored. `yesterday` is what served a day before: how far
    first pages drifted since is told with the other figures. `rival` is what serves where that is not the parent, of the
    same major version: it is to be replaced, not beaten. Not the same bytes with `epsilon`: noise is never the same.
    Then only adapter and slopes learn from shoppers, and the gate judges.
    """
    private = options.epsilon is not None
    shop_id = parent.shop_id
    seed = crc32(f"{shop_id}/{parent.artefact}/{part.from_position}/{part.trained_to}".encode())
    base = base or artefact_read(artefact_load(parent.artefact))
    start = start_of(base, private=private)
    if start.tensors:
        options = as_kind(options, start.adapter["kind"])
    frozen = frozen_in_training(frozen, start, options)
    before = remember(tower_of(frozen, base).encode_query)
    part = robust(part, shop_id=shop_id, most=options.most_of_shopper)
    closed, folded = len(part.train), is_folded(start, options)
    if not folded:
        part = replace(part, train=teaching(part.train, shop_id=shop_id))
    older = [] if private else older_read(part, shop_id=shop_id, share=options.replay, seed=seed)
    older = older if folded else teaching(older, shop_id=shop_id)
    unasked = [] if folded else unasked_read(shop_id=shop_id, to_position=part.to_position)
    judged = judgements_at(shop_id=shop_id, position=part.to_position)
    catalogue = catalogue_at(
        shop_id=shop_id, position=part.to_position, major=parent.major,
        named=part.products([*older, *unasked]) | judged_products(judged), pool=options.pool, seed=seed,
    )  # fmt: skip
    clicked_for = clicked_rows([*older, *part.train], catalogue)
    curve = curve_at(shop_id=shop_id, position=part.to_position)

    def examples(closed: Sequence[ClickThrough]) -> list[Example]:
        return examples_read(
            closed, catalogue=catalogue, encode=before, options=options, clicked_for=clicked_for, curve=curve
        )

    def lists(examples: Sequence[Example]) -> Sequence[Example]:
        return pooled(examples, looks=options.pooled_looks, curve=curve) if options.pooled else examples

    def learned(parent: Artefact, examples: Sequence[Example]) -> Artefact:
        return train(
            frozen=frozen, parent=parent, catalogue=catalogue, examples=examples, clicked_for=clicked_for,
            options=options, seed=seed,
        ).artefact  # fmt: skip

    with torch_as(threads=options.threads, seed=seed):
        if private:
            own = privately_taught(
                part.train, shop_id=shop_id, frozen=frozen, parent=start, catalogue=catalogue, options=options,
                seed=seed, before=before, progress=progress,
            )  # fmt: skip
            trained, taught, seen, calibrating = own.trained, own.examples, list[Example](), own.titles
        else:
            seen, calibrating = [*examples(older), *examples(part.train)], examples(part.calibrate)
            taught = enriched(
                lists(seen), catalogue=catalogue, encode=before, options=options, clicked_for=clicked_for, curve=curve
            )

            def worth_of(reached: Artefact) -> float:
                ranker = Ranker(remember(tower_of(frozen, reached).encode_query), reached.head)
                return worth(ranker, serving=Ranker(before, base.head), examples=calibrating, catalogue=catalogue)

            trained = train(
                frozen=frozen, parent=start, catalogue=catalogue, examples=taught, clicked_for=clicked_for,
                options=options, seed=seed, before=before, judge=worth_of, watch=watch,
                progress=lambda share: progress(share / (1 + FOLDS) if folded else share),
            )  # fmt: skip
            made = averaged(trained.artefact, parent=parent, versions=options.average_versions)
            if folded:
                made = replace(made, folds=folds_train(
                    start, taught, shop_id=shop_id, learn=learned,
                    progress=lambda share: progress((1 + share * FOLDS) / (1 + FOLDS)),
                ))  # fmt: skip
            trained = replace(trained, artefact=made)
        after = remember(tower_of(frozen, trained.artefact).encode_query)
        head = head_calibrated(
            trained.artefact.head, parent=base.head, before=before, after=after, examples=calibrating,
            catalogue=catalogue, seed=seed,
        )  # fmt: skip
        newest, past = examples(part.gate), examples(part.past)
        shown = [] if private else [*seen, *calibrating, *newest]
        lifts = expected_lifts(shown, encode=after, head=head, catalogue=catalogue, parent=base.expected)
        serving = artefact_read(artefact_load(rival.artefact)) if rival else base
        rated, ranker = ranker_with(frozen, serving) if rival else Ranker(before, base.head), Ranker(after, head)
        shopper = NO_SHOPPER if private else shopper_make(
            parent=parent, base=base, part=part, catalogue=catalogue, ranker=ranker, read=examples,
            options=options, seed=seed,
        )  # fmt: skip
        artefact = replace(trained.artefact, head=head, expected=lifts)
        never = unasked_compared(
            serving=rated, candidate=ranker, closed=unasked, shop_id=shop_id, catalogue=catalogue, lifts=(serving.expected, lifts)
        )  # fmt: skip
        recipe = folds_compared(
            serving=ranker_unasked(frozen, serving, shop_id=shop_id), candidate=ranker_unasked(frozen, artefact, shop_id=shop_id),
            lists=lists([*seen, *calibrating, *newest]), catalogue=catalogue, lifts=(serving.expected, lifts),
            now=max(each.shown_at.timestamp() for each in [*part.train, *part.calibrate, *part.gate]),
        ) if folded else NOTHING  # fmt: skip
        trial = trial_of(
            serving=rated, candidate=ranker, newest=newest, past=past, judged=judged, catalogue=catalogue, curve=curve,
            options=options, seed=seed, unasked=never, folds=recipe, replaces=rival is not None,
            personal=shopper.personal > 0, day_before=ranker_of(frozen, yesterday) if yesterday else None,
        )  # fmt: skip
        verdict = gate(trial)
    metrics = (
        _metrics(part, trained, taught, catalogue)
        | {"click_throughs": closed, "kept": closed - len(part.train), "replayed": len(older)}
        | {"shopper": shopper.figures, "gate": verdict.figures, "options": asdict(options)}
        | trained.privacy
    )
    return Candidate(shopper.put_into(artefact), verdict, metrics, seed)


def start_of(base: Artefact, *, private: bool) -> Artefact:
    """What training starts from: the parent's adapter as training left it, or none where its kind cannot learn under noise."""
    if private and base.tensors and base.adapter["kind"] not in PRIVATE_KINDS:
        return replace(base, tensors={}, adapter={}, trained={})
    return as_trained(base)


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
    return ranker_with(frozen, artefact_read(artefact_load(version.artefact)))


def ranker_with(frozen: Encoder, artefact: Artefact) -> Ranker:
    """The same of an artefact."""
    return Ranker(remember(tower_of(frozen, artefact).encode_query), artefact.head)


def _metrics(part: Split, trained: Trained, learned: Sequence[Example], catalogue: CatalogueAt) -> dict[str, Any]:
    tenth = max(1, len(trained.losses) // 10)
    return {
        "examples": sum(example.teaches for example in learned),
        "implied": sum(not example.shown for example in learned),
        "products": len(catalogue.product_ids),
        "steps": len(trained.losses),
        "worths": {str(step): worth for step, worth in trained.worths.items()},
        "loss_first": sum(trained.losses[:tenth]) / tenth if trained.losses else None,
        "loss_last": sum(trained.losses[-tenth:]) / tenth if trained.losses else None,
        "judged_to_position": part.to_position,
    }
