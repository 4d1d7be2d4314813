"""How much of a shopper's own taste goes into ŷ, and whether any: fitted on some click-throughs, judged on newer ones.

It is off until click-throughs of shoppers with a history say that it is better, beyond chance. Pure, no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from ranking.learning.evaluate import Doubles, mean_known, mrr_at_k, pair_accuracy
from ranking.learning.examples import Example
from ranking.relevance import PULL, Head

LEAST = 30  # click-throughs that fit it, and as many that judge it
SURE = 2.5  # standard errors of the paired gain: two figures are looked at in every version, and chance must not turn it on
MOST = 4.0  # times the slope of the query's own cosine: among the products of a query, tastes differ less than cosines with it
NEAREST = 100  # products of a query, by the query alone, among which it is fitted
_STEPS = 50  # halvings


@dataclass(frozen=True, slots=True)
class Case:
    """A click-through of a shopper with a history: of all N products the logit by the query, and the shopper's cosine."""

    example: Example
    logits: Doubles  # (N,)
    personal: Doubles  # (N,)


@dataclass(frozen=True, slots=True)
class Personal:
    """`slope` is 0 when nothing says that it helps; figures say what it was judged by."""

    slope: float
    figures: dict[str, Any]


def personal_decide(*, fitting: Sequence[Case], judging: Sequence[Case], head: Head) -> Personal:
    """Fit the slope on some cases, and leave it at 0 unless the others gain by more than SURE standard errors."""
    figures: dict[str, Any] = {"fitted_on": len(fitting), "judged_on": len(judging), "fitted": None}
    if min(len(fitting), len(judging)) < LEAST:
        return Personal(
            0.0, figures | {"reason": f"{LEAST} click-throughs of shoppers with a history are needed for each"}
        )
    slope = personal_fit(fitting, head=head)
    gains = {
        "mrr": _mrr(judging, slope) - _mrr(judging, 0.0),
        "accuracy": _accuracy(judging, slope) - _accuracy(judging, 0.0),
    }
    figures |= {"fitted": slope} | {f"{name}_gain": mean_known(gain) for name, gain in gains.items()}
    sure = [_in_errors(gain) for gain in gains.values()]
    if slope > 0 and max(sure) > SURE and min(sure) > -1.0:
        return Personal(slope, figures | {"reason": None})
    return Personal(0.0, figures | {"reason": f"no gain of more than {SURE:g} standard errors"})


def personal_fit(cases: Sequence[Case], *, head: Head) -> float:
    """The slope that makes what was wanted likeliest: softmax of logits + slope · personal, by gains.

    From 0 to MOST times that of the query's cosine, and drawn towards 0 as other slopes are towards their defaults. The
    likelihood is concave, so halving finds it.
    """
    lists = [_list(case) for case in cases]
    low, high = 0.0, (most := MOST * head.dense)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        rising = sum(_rise(*each, middle) for each in lists) - PULL * middle / head.dense**2
        low, high = (middle, high) if rising > 0 else (low, middle)
    return low if low > most * 2.0 ** -(_STEPS - 1) else 0.0


def _list(case: Case) -> tuple[Doubles, Doubles, Doubles]:
    """Of the products of a list: logits, with how likely each was looked at; cosines; gains, which sum to 1."""
    example = case.example
    if example.shown:
        rows, seen = example.products, np.maximum(example.weights.astype(np.float64), 1e-9)
    else:
        rows = np.union1d(np.argsort(-case.logits, kind="stable")[:NEAREST], example.products)
        seen = np.ones(len(rows))
    gained = np.zeros(len(case.logits))
    gained[example.products] = example.gains
    gains = gained[rows] * seen
    return case.logits[rows] + np.log(seen), case.personal[rows], gains / max(gains.sum(), 1e-9)


def _rise(logits: Doubles, personal: Doubles, gains: Doubles, slope: float) -> float:
    """How fast the log-likelihood of a list rises with the slope."""
    scores = logits + slope * personal
    chance = np.exp(scores - scores.max())
    return float(gains @ personal - gains.sum() * (chance @ personal) / chance.sum())


def _mrr(cases: Sequence[Case], slope: float) -> Doubles:
    found = []
    for case in cases:
        wanted = np.zeros(len(case.logits), dtype=bool)
        wanted[case.example.products[case.example.gains > 0]] = True
        found.append(mrr_at_k(case.logits + slope * case.personal, wanted, k=len(wanted)))
    return np.array(found)


def _accuracy(cases: Sequence[Case], slope: float) -> Doubles:
    found = []
    for case in cases:
        example = case.example
        scores = (case.logits + slope * case.personal)[example.products]
        gains = example.gains.astype(np.float64)
        found.append(pair_accuracy(scores, gains, example.weights) if example.shown else float("nan"))
    return np.array(found)


def _in_errors(gain: Doubles) -> float:
    """The mean gain in standard errors; 0 where nothing can say."""
    known = gain[~np.isnan(gain)]
    if len(known) < LEAST:
        return 0.0
    error = float(known.std(ddof=1)) / sqrt(len(known))
    return float(known.mean()) / error if error > 0 else float(np.sign(known.mean())) * (SURE + 1)
