"""What later click-throughs say of a version in shadow, beside what serves: the judges and the gate of a new candidate."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from feedback.joining import ClickThrough
from feedback.selectors import newest_click_throughs
from ranking.curves import curve_at
from ranking.encoders import Encoder
from ranking.judgements import judgements_at
from ranking.learning.artefact import artefact_read
from ranking.learning.candidate import ranker_of, told_by_many
from ranking.learning.catalogue import catalogue_at
from ranking.learning.examples import Example, clicked_rows, examples_read
from ranking.learning.folds import folds_compared, ranker_unasked
from ranking.learning.gate import Verdict, gate
from ranking.learning.judged import judged_products
from ranking.learning.options import options_of
from ranking.learning.pooled import pooled
from ranking.learning.train import torch_as
from ranking.learning.trials import NOTHING, trial_of
from ranking.learning.unasked import unasked_compared, unasked_read
from ranking.registry import ModelVersion, artefact_load

LISTS = 2000  # newest click-throughs by whose queries the recipe is judged: its folds were not taught them, whenever they closed


def shadow_verdict(
    *, serving: ModelVersion, shadow: ModelVersion, frozen: Encoder, closed: Sequence[ClickThrough], position: int
) -> Verdict:
    """Judge both on click-throughs that taught and judged neither, all as of a position; the same each time."""
    options = options_of(shadow.config["options"])
    seed = crc32(f"{shadow.shop_id}/{shadow.artefact}/shadow/{position}".encode())
    closed = told_by_many(closed, shop_id=shadow.shop_id, most=options.most_of_shopper)
    curve = curve_at(shop_id=shadow.shop_id, position=position)
    judged = judgements_at(shop_id=shadow.shop_id, position=position)
    old, new = (artefact_read(artefact_load(each.artefact)) for each in (serving, shadow))
    folded = len(new.folds) > 0
    unasked = [] if folded else unasked_read(shop_id=shadow.shop_id, to_position=position)
    newest = newest_click_throughs(shop_id=shadow.shop_id, to_position=position, count=LISTS) if folded else []
    lists = told_by_many(newest, shop_id=shadow.shop_id, most=options.most_of_shopper)
    catalogue = catalogue_at(
        shop_id=shadow.shop_id, position=position, major=shadow.major, pool=options.pool, seed=seed,
        named={product for each in (*closed, *unasked, *lists) for product in each.items} | judged_products(judged),
    )  # fmt: skip

    def examples(closed: Sequence[ClickThrough]) -> list[Example]:
        clicked_for = clicked_rows(closed, catalogue)
        return examples_read(
            closed, catalogue=catalogue, encode=before.encode, options=options, clicked_for=clicked_for, curve=curve
        )

    with torch_as(threads=options.threads, seed=seed):
        before, after = ranker_of(frozen, serving), ranker_of(frozen, shadow)
        never = unasked_compared(
            serving=before, candidate=after, closed=unasked, shop_id=shadow.shop_id, catalogue=catalogue,
            lifts=(old.expected, new.expected),
        )  # fmt: skip
        recipe = folds_compared(
            serving=ranker_unasked(frozen, old, shop_id=shadow.shop_id),
            candidate=ranker_unasked(frozen, new, shop_id=shadow.shop_id),
            lists=pooled(examples(lists), looks=options.pooled_looks, curve=curve) if options.pooled else examples(lists),
            catalogue=catalogue, lifts=(old.expected, new.expected), now=closed[-1].shown_at.timestamp(),
        ) if folded else NOTHING  # fmt: skip
        # what it forgot, the gate asked before
        trial = trial_of(
            serving=before, candidate=after, newest=examples(closed), past=[], judged=judged, catalogue=catalogue, curve=curve,
            options=options, seed=seed, unasked=never, folds=recipe,
        )  # fmt: skip
        return gate(trial)
