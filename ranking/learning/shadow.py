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
from ranking.learning.evaluate import clicks_compared, crowding_in, judge, overlaps
from ranking.learning.examples import clicked_rows, examples_read
from ranking.learning.gate import Trial, Verdict, gate
from ranking.learning.judged import judged_products, list_ndcg
from ranking.learning.options import options_of
from ranking.learning.train import torch_as
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
        sides = {"serving": ranker_of(frozen, serving), "candidate": ranker_of(frozen, shadow)}
        examples = examples_read(
            closed, catalogue=catalogue, encode=sides["serving"].encode, options=options,
            clicked_for=clicked_rows(closed, catalogue), curve=curve,
        )  # fmt: skip
        newest = judge(**sides, examples=examples, catalogue=catalogue)
        nothing = judge(**sides, examples=[], catalogue=catalogue)  # what it forgot, the gate asked before
        serving_list, candidate_list = (list_ndcg(side, judged, catalogue) for side in sides.values())
        moved = overlaps(**sides, examples=examples, catalogue=catalogue)
        trial = Trial(
            *newest, *nothing, serving_list, candidate_list, overlaps=moved, least_overlap=options.least_overlap,
            counterfactual=clicks_compared(**sides, examples=examples, catalogue=catalogue, curve=curve, seed=seed),
            crowding=crowding_in(**sides, examples=examples, catalogue=catalogue), most_crowding=options.most_crowding,
        )  # fmt: skip
        return gate(trial)
