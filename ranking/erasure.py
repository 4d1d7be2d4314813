"""Which model versions learned from a shopper: those whose range holds click-throughs of the shopper's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from feedback.erasure import Erasure, shopper_erase, shopper_subjects
from feedback.selectors import closed_positions_of
from ranking.registry import ModelVersion, model_versions


@dataclass(frozen=True, slots=True)
class Learned:
    """Versions trained on positions of a shopper, with how many click-throughs, and those that go on from them; oldest
    first."""

    trained: dict[str, int]
    descended: list[str]


@transaction.atomic
def shopper_erase_and_tell(*, shop_id: int, shopper_id: str, now: datetime) -> tuple[Erasure, Learned]:
    """Erase a shopper and say which versions had learned from the shopper, which nobody can say later.

    Raises BadShopperId.
    """
    subjects = shopper_subjects(shop_id=shop_id, shopper_id=shopper_id)
    learned = versions_learned(model_versions(shop_id=shop_id), closed_positions_of(shop_id=shop_id, subjects=subjects))
    return shopper_erase(shop_id=shop_id, shopper_id=shopper_id, now=now), learned


def versions_learned(versions: Sequence[ModelVersion], closed: Sequence[int]) -> Learned:
    """Find the versions trained on click-throughs that closed at these positions (sorted), and their descendants."""
    trained: dict[str, int] = {}
    touched: set[str] = set()
    descended: list[str] = []
    for version in sorted(versions, key=lambda each: (each.major, each.minor)):  # a parent comes before its children
        if count := trained_on(version, closed):
            trained[version.version] = count
        elif version.parent in touched:
            descended.append(version.version)
        else:
            continue
        touched.add(version.version)
    return Learned(trained, descended)


def trained_on(version: ModelVersion, closed: Sequence[int]) -> int:
    """How many of these positions (sorted) are of the range that a version was trained on, and were not left out of it."""
    within = bisect_right(closed, version.to_position) - bisect_right(closed, version.from_position)
    return max(0, within - int(version.metrics.get("left_out", 0)))
