"""The head of a trained tower, so that ŷ stays a probability: Platt on held-out click-throughs, anchored at the parent.

What was shown says how often a product that was looked at is wanted. Of products that were not shown nobody knows more
than the parent did, so there its own ŷ is the label: without them a head fitted on first pages, where every product is
near, would forget that far ones are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.examples import Example
from ranking.relevance import Head, head_fit, relevance, sigmoid

ANCHORS = 20  # products a query, half of them near: where ŷ is neither 0 nor 1
LEAST_SHOWN = 100  # pairs: fewer say little against the parent's head
SHARPEST = 4.0  # how far one version may stretch or flatten ŷ
_STEPS = 60  # halvings of [-50, 50]

Encode = Callable[[str], Floats]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Queries and products as evidence, (N,) each."""

    dense: Doubles
    lexical: Doubles
    labels: Doubles
    weights: Doubles


def head_calibrated(
    trained: Head, *, parent: Head, before: Encode, after: Encode, examples: Sequence[Example],
    catalogue: CatalogueAt, seed: int, moved: CatalogueAt | None = None,
) -> Head:  # fmt: skip
    """Return the head for a new tower: `before` and `after` encode queries by the parent's tower and by the new one.

    `moved` is the same catalogue with the vectors of a new product tower, where there is one.
    """
    if not examples:
        return trained
    moved = moved or catalogue
    anchors = _anchors(parent, before, after, examples, catalogue, moved, seed)
    level = _shifted(trained, anchors)
    shown = shown_pairs(examples, after, moved)
    if len(shown.labels) < LEAST_SHOWN:
        return level
    share = shown.weights.sum() / anchors.weights.sum()  # both kinds together weigh the same
    return _scaled(
        level,
        Pairs(
            np.concatenate([shown.dense, anchors.dense]),
            np.concatenate([shown.lexical, anchors.lexical]),
            np.concatenate([shown.labels, anchors.labels]),
            np.concatenate([shown.weights, anchors.weights * share]),
        ),
    )


def _scaled(head: Head, pairs: Pairs) -> Head:
    """Fit sigmoid(A · logit + B), which no order depends on; A within SHARPEST, B for every kind of context.

    The slopes keep the ratio that training gave them: on first pages every product holds the query's words, and a fit
    of both slopes there takes two thirds of the lexical one away (nDCG@10 of queries never asked: 0.663 to 0.639).
    """
    logits = head.dense * pairs.dense + head.lexical * pairs.lexical + head.intercepts["query"]
    plain = replace(head, dense=1.0, lexical=0.0, intercepts=dict.fromkeys(head.intercepts, 0.0))
    fitted = head_fit(logits, np.zeros_like(logits), pairs.labels, default=plain, weights=pairs.weights)
    scale = float(np.clip(fitted.dense, 1 / SHARPEST, SHARPEST))
    moved = {kind: scale * value for kind, value in head.intercepts.items()}
    scaled = replace(
        head, dense=scale * head.dense, lexical=scale * head.lexical, personal=scale * head.personal, intercepts=moved
    )
    return _shifted(scaled, pairs)


def shown_pairs(examples: Sequence[Example], encode: Encode, catalogue: CatalogueAt) -> Pairs:
    """What shoppers saw: label 1 for what they wanted, weights by how likely they looked at it."""
    shown = [example for example in examples if example.shown]
    return Pairs(
        dense=_joined([catalogue.vectors[each.products] @ encode(each.text) for each in shown]),
        lexical=_joined([catalogue.lexical(each.text)[each.products] for each in shown]),
        labels=_joined([each.gains > 0 for each in shown]),
        weights=_joined([each.weights for each in shown]),
    )


def _anchors(
    parent: Head, before: Encode, after: Encode, examples: Sequence[Example], catalogue: CatalogueAt,
    moved: CatalogueAt, seed: int,
) -> Pairs:  # fmt: skip
    rng = np.random.default_rng(seed)
    dense, lexical, labels = [], [], []
    for example in examples:
        old = catalogue.vectors @ before(example.text)  # (N,)
        near = catalogue.nearest(before(example.text), ANCHORS)
        some = rng.choice(len(old), size=min(ANCHORS, len(old)), replace=False)
        chosen = np.setdiff1d(np.concatenate([near[: ANCHORS // 2], some[: ANCHORS // 2]]), example.products)
        evidence = catalogue.lexical(example.text)[chosen]
        dense.append((moved.vectors @ after(example.text))[chosen])
        lexical.append(evidence)
        labels.append(relevance(old[chosen], evidence, parent, "query"))
    every = _joined(labels)
    return Pairs(_joined(dense), _joined(lexical), every, np.ones_like(every))


def _shifted(head: Head, pairs: Pairs) -> Head:
    """Move the intercepts so that the mean ŷ is that of the labels; it grows with them, so halving finds it."""
    total = pairs.weights.sum()
    if total <= 0:
        return head
    logits = head.dense * pairs.dense + head.lexical * pairs.lexical + head.intercepts["query"]
    wanted = pairs.weights @ pairs.labels
    low, high = -50.0, 50.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if pairs.weights @ sigmoid(logits + middle) < wanted else (low, middle)
    return replace(head, intercepts={kind: value + low for kind, value in head.intercepts.items()})


def _joined(parts: Sequence[NDArray[np.generic]]) -> Doubles:
    return np.concatenate([part.astype(np.float64) for part in parts]) if parts else np.zeros(0)
