"""What later click-throughs say of a version in shadow, beside what serves: the judges and the gate of a new candidate."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from feedback.joining import ClickThrough
from ranking.curves import curve_at
from ranking.encoders import Encoder
from ranking.judgements import judgements_at
from ranking.learning.candidate import ranker_of, told_by_many
from ranking.learning.catalogue import catalogue_at
from ranking.learning.examples import clicked_rows, examples_read
from ranking.learning.gate import Verdict, gate
from ranking.learning.judged import judged_products
from ranking.learning.options import options_of
from ranking.learning.train import torch_as
from ranking.learning.trials import trial_of
from ranking.registry import ModelVersion


def shadow_verdict(
    *, serving: ModelVersion, shadow: ModelVersion, frozen: Encoder, closed: Sequence[ClickThrough], position: int
) -> Verdict:
    """Judge both on click-throughs that taught and judged neither, all as of a position; the same each time."""
    options = options_of(shadow.config["options"])
    seed = crc32(f"{shadow.shop_id}/{shadow.artefact}/shadow/{position}".encode())
    closed = told_by_many(closed, shop_id=shadow.shop_id, most=options.most_of_shopper)
    curve = curve_at(shop_id=shadow.shop_id, position=position)
    judged = judgements_at(shop_id=shadow.shop_id, position=position)
    catalogue = catalogue_at(
        shop_id=shadow.shop_id, position=position, major=shadow.major, pool=options.pool, seed=seed,
        named={product for each in closed for product in each.items} | judged_products(judged),
    )  # fmt: skip
    with torch_as(threads=options.threads, seed=seed):
        before = ranker_of(frozen, serving)
        examples = examples_read(
            closed, catalogue=catalogue, encode=before.encode, options=options,
            clicked_for=clicked_rows(closed, catalogue), curve=curve,
        )  # fmt: skip
        # what it forgot, the gate asked before
        trial = trial_of(
            serving=before, candidate=ranker_of(frozen, shadow), newest=examples, past=[], judged=judged, catalogue=catalogue,
            curve=curve, options=options, seed=seed,
        )  # fmt: skip
        return gate(trial)
