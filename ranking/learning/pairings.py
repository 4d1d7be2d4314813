"""Pairings for a major version: each query with a product it wanted, beside products that a search finds and it did not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log2
from random import Random

import orjson

from ranking.encoders import product_text
from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.examples import gain
from ranking.learning.judged import RELEVANT, judged_gain
from ranking.learning.major_lesson import MajorLesson
from ranking.learning.major_options import MajorOptions
from ranking.learning.majors import Pairing

NEAR = 24  # the nearest products, of which some become hard negatives: the very nearest is often wanted as well


@dataclass(slots=True)
class Wish:
    """What a query wanted, by row: how much in all; what it also liked; what was judged to be no answer."""

    text: str
    gains: dict[int, float] = field(default_factory=dict)
    liked: set[int] = field(default_factory=set)
    wrong: list[int] = field(default_factory=list)


def pairings_read(
    lesson: MajorLesson,
    *,
    catalogue: CatalogueAt,
    encode: Callable[[Sequence[str]], Floats],
    options: MajorOptions,
    seed: int,
) -> list[Pairing]:
    """Make the pairings of a lesson; the same lesson, catalogue and seed make the same ones.

    `encode` gives the serving tower's vectors (Q, D) of queries: what they find is where hard negatives come from. What a
    query wanted n times over comes log2(1 + n) times, so that neither a favourite nor a slip of a finger is everything.
    """
    wishes = {key: wish for key, wish in sorted(_wishes(lesson, catalogue).items()) if wish.gains}
    if not wishes:
        return []
    texts = [product_text(orjson.loads(content)) for content in catalogue.contents]
    free = min(len(texts) - len(wish.gains.keys() | wish.liked) for wish in wishes.values())
    most = min(options.hard_negatives, free)
    vectors, rng, found = encode([wish.text for wish in wishes.values()]), Random(seed), list[Pairing]()
    for vector, wish in zip(vectors, wishes.values(), strict=True):
        wanted = wish.gains.keys() | wish.liked
        near = [int(row) for row in catalogue.nearest(vector, NEAR + len(wanted)) if int(row) not in wanted]
        names = frozenset(catalogue.product_ids[row] for row in wanted)
        for row, gained in sorted(wish.gains.items()):
            for _ in range(max(1, round(log2(1 + gained)))):
                rows = [row, *_negatives(wish.wrong, near, most, rng)]
                ids = tuple(catalogue.product_ids[each] for each in rows)
                found.append(Pairing(wish.text, tuple(texts[each] for each in rows), ids, names))
    return found


def _negatives(wrong: list[int], near: list[int], most: int, rng: Random) -> list[int]:
    """What was judged wrong first, then what stands near."""
    chosen = rng.sample(wrong, min(most, len(wrong)))
    others = [row for row in near[:NEAR] if row not in chosen]
    return chosen + rng.sample(others, min(most - len(chosen), len(others)))


def _wishes(lesson: MajorLesson, catalogue: CatalogueAt) -> dict[str, Wish]:
    found: dict[str, Wish] = {}
    for each in lesson.train:
        if each.context_kind != "query" or each.context_key is None:
            continue
        wish = found.setdefault(each.context_key, Wish(""))
        wish.text = each.context_text or each.context_key
        for product_id, kinds in each.outcomes.items():
            row = catalogue.rows.get(product_id)
            if row is not None and gain(kinds) > 0:
                wish.gains[row] = wish.gains.get(row, 0.0) + gain(kinds)
    for query in lesson.teach:
        wish = found.setdefault(query.key, Wish(query.text))
        for product_id, rating in query.ratings.items():
            row = catalogue.rows.get(product_id)
            if row is None:
                continue
            if rating >= RELEVANT:
                wish.gains[row] = wish.gains.get(row, 0.0) + judged_gain(rating)
            elif rating > 0:
                wish.liked.add(row)
            elif row not in wish.gains:  # what shoppers want is an answer, whatever a judge says
                wish.wrong.append(row)
    return found
