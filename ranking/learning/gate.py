"""The gate: a candidate serves only if no criterion speaks against it. A new criterion is a function in CRITERIA.

Each gets the figures of the serving version and of the candidate on the newest click-throughs, which neither was trained
on, and returns the reason to refuse, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.learning.evaluate import Judged

LEAST = 20  # click-throughs: fewer cannot tell a better version from a lucky one
NOISE = 1.0  # standard errors of the paired difference that a figure may fall and still count as not worse
LOSS_SHARE = 0.02  # how much of the log loss a probability may lose: the head is refitted on few pairs


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is None when the candidate may serve."""

    reason: str | None
    figures: dict[str, Any]


Criterion = Callable[[Judged, Judged], str | None]


def gate(serving: Judged, candidate: Judged) -> Verdict:
    """Put the candidate through every criterion; the reasons of all that refuse it are given."""
    reasons = [reason for criterion in CRITERIA if (reason := criterion(serving, candidate)) is not None]
    figures = {"click_throughs": len(serving.mrr), "serving": serving.means(), "candidate": candidate.means()}
    return Verdict("; ".join(reasons) or None, figures)


def judged_by_enough(serving: Judged, candidate: Judged) -> str | None:
    """Too little evidence keeps what serves."""
    count = int((~np.isnan(serving.mrr)).sum())
    return None if count >= LEAST else f"only {count} click-throughs judge it, {LEAST} are needed"


def orders_shown_no_worse(serving: Judged, candidate: Judged) -> str | None:
    """Among the products that shoppers saw, those they wanted must not stand lower."""
    return _falls("pair accuracy among shown products", serving.accuracy, candidate.accuracy)


def finds_clicked_no_worse(serving: Judged, candidate: Judged) -> str | None:
    """Among all that either version finds, the product wanted must not stand lower."""
    return _falls("MRR of the clicked product", serving.mrr, candidate.mrr)


def better_somewhere(serving: Judged, candidate: Judged) -> str | None:
    """Two figures that both fall, each within its noise, are no progress."""
    pairs = ((serving.accuracy, candidate.accuracy), (serving.mrr, candidate.mrr))
    changes = [float(np.nanmean(after - before)) for before, after in pairs if not np.isnan(before).all()]
    return "no figure is better than the serving version's" if changes and max(changes) < 0 else None


def stays_calibrated(serving: Judged, candidate: Judged) -> str | None:
    """ŷ must stay a probability: its log loss on what was shown must not grow."""
    before, after = serving.means()["log_loss"], candidate.means()["log_loss"]
    if before is None or after is None or after <= before * (1 + LOSS_SHARE):
        return None
    return f"log loss of ŷ rises from {before:.4f} to {after:.4f}"


CRITERIA: Sequence[Criterion] = (
    judged_by_enough,
    orders_shown_no_worse,
    finds_clicked_no_worse,
    better_somewhere,
    stays_calibrated,
)


def _falls(name: str, before: NDArray[np.float64], after: NDArray[np.float64]) -> str | None:
    change = (after - before)[~np.isnan(before)]
    if not len(change):
        return None
    noise = NOISE * float(change.std(ddof=1)) / sqrt(len(change)) if len(change) > 1 else 0.0
    if change.mean() >= -noise:
        return None
    return f"{name} falls from {np.nanmean(before):.4f} to {np.nanmean(after):.4f}"
