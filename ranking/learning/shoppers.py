"""What each shopper teaches a private version: examples in which everything but the shopper's own is public."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from feedback.joining import ClickThrough
from feedback.selectors import persons_of
from ranking.encoders import Encoder
from ranking.learning.artefact import Artefact
from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt, Floats, public_only, public_rows
from ranking.learning.enrich import enriched
from ranking.learning.examples import Example, clicked_rows, examples_read, narrowed
from ranking.learning.options import TrainOptions
from ranking.learning.private import train_private
from ranking.learning.train import Trained

TITLES = 200  # by which the level of ŷ is held


@dataclass(frozen=True, slots=True)
class Private:
    """What shoppers taught under noise, the examples it was, and titles of products to fit the head on."""

    trained: Trained
    examples: list[Example]
    titles: list[Example]


def privately_taught(
    closed: Sequence[ClickThrough],
    *,
    shop_id: int,
    frozen: Encoder,
    parent: Artefact,
    catalogue: CatalogueAt,
    options: TrainOptions,
    seed: int,
    before: Encode,
    progress: Callable[[float], None],
) -> Private:
    """Let the shoppers of these click-throughs teach the parent's adapter. Raises NotPrivate."""
    persons = persons_of(shop_id=shop_id, positions=[each.impression_position for each in closed])
    public = public_only(catalogue, pool=options.pool, seed=seed)
    lessons = lessons_of_shoppers(closed, persons, catalogue=public, encode=before, options=options)
    trained = train_private(
        frozen=frozen, parent=parent, catalogue=public, shoppers=lessons, options=options, seed=seed, before=before,
        progress=progress,
    )  # fmt: skip
    return Private(trained, [example for own in lessons for example in own], titles_read(public, seed))


def lessons_of_shoppers(
    closed: Sequence[ClickThrough],
    persons: Mapping[int, str],
    *,
    catalogue: CatalogueAt,
    encode: Callable[[str], Floats],
    options: TrainOptions,
) -> list[list[Example]]:
    """The examples of each shopper, the newest `shopper_examples`; `persons` says by position whose a click-through is.

    Click-throughs that are nobody's teach nothing. `catalogue` finds public products only; what others clicked for a
    query is not spared as a negative, for it is theirs.
    """
    groups: dict[str, list[ClickThrough]] = {}
    for each in closed:
        if each.impression_position in persons:
            groups.setdefault(persons[each.impression_position], []).append(each)
    lessons = [_lesson(own, catalogue, encode, options) for own in groups.values()]
    return [lesson for lesson in lessons if lesson]


def titles_read(catalogue: CatalogueAt, seed: int) -> list[Example]:
    """Titles of public products in the place of queries: by them ŷ is held at its level, and no shopper is asked."""
    rows = public_rows(catalogue)
    chosen = np.random.default_rng(seed).choice(rows, size=min(TITLES, len(rows)), replace=False)
    titles = [str(orjson.loads(catalogue.contents[row])["title"]) for row in chosen]
    none, zero = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return [Example(0, title, title, none, zero, zero, shown=False) for title in titles]


def _lesson(
    own: Sequence[ClickThrough], catalogue: CatalogueAt, encode: Callable[[str], Floats], options: TrainOptions
) -> list[Example]:
    clicked = clicked_rows(own, catalogue)
    read = examples_read(own, catalogue=catalogue, encode=encode, options=options, clicked_for=clicked)
    full = enriched(read, catalogue=catalogue, encode=encode, options=options, clicked_for=clicked)
    seen = [catalogue.rows[item] for each in own for item in each.items if item in catalogue.rows]
    # a product related to an own one may be in the catalogue only because another shopper saw it
    known = np.union1d(public_rows(catalogue), np.array(seen, dtype=np.int64))
    return [narrowed(example, known) for example in full if example.teaches][-options.shopper_examples :]
