"""ŷ, the probability that a product is relevant to a context, from its dense and its lexical evidence (pure).

    ŷ = sigmoid(dense · cos + lexical · bm25 + intercept[kind] + personal · taste)

The head is logistic regression on the first two (Platt, "Probabilistic outputs for support vector machines", 1999). The
defaults were fitted on the project's own sample shop (`bench/fit_head.py`); `head_fit` refits one for a shop, drawn
towards the default, so that a handful of judgements cannot turn it over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
KINDS = ("query", "product", "basket", "history")
# A judged pair says at most 0.25 about each coefficient (p(1 - p)), so this outweighs about a dozen of them.
PULL = 3.0
LEAST_SPREAD = 0.01
STEPS = 200
LONGEST_STEP = 2.0
CONVERGED = 1e-9


@dataclass(frozen=True, kw_only=True)
class Head:
    """`dense` and `lexical` are the slopes, `intercepts` one per kind of context.

    `unknown` is the cosine that stands in while a product has no vector yet. `personal` is the slope of a shopper's own
    taste, 0 while nothing says that it helps.
    """

    dense: float
    lexical: float
    intercepts: Mapping[str, float]
    unknown: float
    personal: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The head as JSON; one without a personal part says nothing of it, as heads did before there was any."""
        personal = {"personal": self.personal} if self.personal else {}
        return {
            "dense": self.dense,
            "lexical": self.lexical,
            "intercepts": dict(self.intercepts),
            "unknown": self.unknown,
            **personal,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Head":
        """The head from what `to_dict` gave. Raises KeyError when something is missing."""
        return cls(
            dense=float(data["dense"]),
            lexical=float(data["lexical"]),
            intercepts={kind: float(data["intercepts"][kind]) for kind in KINDS},
            unknown=float(data["unknown"]),
            personal=float(data.get("personal", 0.0)),
        )


def relevance(
    dense: ArrayLike, lexical: ArrayLike, head: Head, kind: str, *, personal: ArrayLike | None = None
) -> Floats:
    """ŷ in (0, 1), shape (N,), from cosines (NaN where there is no vector) and lexical evidence in [0, 1].

    `personal` (N,) is what a shopper's own taste adds to the logit. Raises KeyError for an unknown kind of context.
    """
    known = _known(dense, head)
    logit = head.dense * known + head.lexical * np.asarray(lexical, dtype=np.float64) + head.intercepts[kind]
    return sigmoid(logit if personal is None else logit + np.asarray(personal, dtype=np.float64))


def sigmoid(logits: ArrayLike) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))), dtype=np.float64)


def head_default(encoder_name: str) -> Head:
    """The head that ships for an encoder; an encoder without one gets that of its family, else MiniLM's."""
    name = encoder_name.lower()
    if name in _DEFAULTS:
        return _DEFAULTS[name]
    return _DEFAULTS["multilingual-e5-small" if "e5" in name else "all-minilm-l6-v2"]


def head_fit(
    dense: ArrayLike,
    lexical: ArrayLike,
    labels: ArrayLike,
    *,
    default: Head,
    kind: str = "query",
    weights: ArrayLike | None = None,
    pull: float = PULL,
) -> Head:
    """Refit slopes and the intercept of `kind` on judged pairs, each array (N,); labels are probabilities in [0, 1].

    Minimises the weighted log loss plus `pull` times half the squared distance to `default`, slopes measured over one
    standard deviation of their evidence; the intercept is pulled a tenth as much, since base rates differ from shop to
    shop. A slope stays >= 0: more evidence never lowers ŷ. The intercepts of other kinds move along. Raises ValueError
    when there are no pairs or the arrays differ in length.
    """
    evidence = np.column_stack([_known(dense, default), np.asarray(lexical, dtype=np.float64)])  # (N, 2)
    targets = np.asarray(labels, dtype=np.float64)
    mass = np.ones_like(targets) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(targets) or not len(targets) == len(evidence) == len(mass):
        raise ValueError(f"{len(evidence)} pairs, {len(targets)} labels and {len(mass)} weights")
    centre, spread = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), LEAST_SPREAD)
    slopes = np.array([default.dense, default.lexical])
    start = np.append(slopes * spread, default.intercepts[kind] + slopes @ centre)
    design = np.column_stack([(evidence - centre) / spread, np.ones_like(targets)])  # (N, 3)
    fitted = _fit(design, targets, mass, start=start, ridge=pull * np.array([1.0, 1.0, 0.1]))
    slopes = fitted[:2] / spread
    shift = float(fitted[2] - slopes @ centre) - default.intercepts[kind]
    moved = {each: value + shift for each, value in default.intercepts.items()}
    return replace(default, dense=float(slopes[0]), lexical=float(slopes[1]), intercepts=moved)


def _known(dense: ArrayLike, head: Head) -> Floats:
    cosine = np.asarray(dense, dtype=np.float64)
    return np.where(np.isnan(cosine), head.unknown, cosine)


def _fit(design: Floats, targets: Floats, mass: Floats, *, start: Floats, ridge: Floats) -> Floats:
    """Coefficients (3,) by Newton's method; a slope that would turn negative is held at 0 and the rest fitted again."""
    free = np.ones(len(start), dtype=bool)
    while True:
        found = _newton(design, targets, mass, start=start, ridge=ridge, free=free)
        turned = free & (found < 0) & np.array([True, True, False])
        if not turned.any():
            return found
        free &= ~turned


def _newton(
    design: Floats, targets: Floats, mass: Floats, *, start: Floats, ridge: Floats, free: NDArray[np.bool_]
) -> Floats:
    found = np.where(free, start, 0.0)
    for _ in range(STEPS):
        expected = sigmoid(design @ found)
        gradient = design.T @ (mass * (expected - targets)) + ridge * (found - start)
        curvature = design.T @ (design * (mass * expected * (1 - expected))[:, None]) + np.diag(ridge)
        step = np.zeros_like(found)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        # A full step from a saturated start can overshoot for good; a bounded one always comes back.
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), LONGEST_STEP))
        found = found - step
        if np.abs(step).max() < CONVERGED:
            break
    return found


# 473 queries and 597 products for e5, the English 301 and 461 for MiniLM (`python -m bench.fit_head`).
_DEFAULTS = {
    "multilingual-e5-small": Head(
        dense=17.95,
        lexical=7.21,
        intercepts={"query": -18.94, "product": -18.03, "basket": -18.03, "history": -18.03},
        unknown=0.815,
    ),
    "all-minilm-l6-v2": Head(
        dense=6.85,
        lexical=6.17,
        intercepts={"query": -6.31, "product": -5.22, "basket": -5.22, "history": -5.22},
        unknown=0.212,
    ),
}
