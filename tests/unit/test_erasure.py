"""Which model versions learned from whom."""

from __future__ import annotations

from ranking.erasure import versions_learned
from ranking.registry import ModelVersion
from tests.cast import SHOP_ID


def version(number: str, parent: str | None, from_position: int, to_position: int) -> ModelVersion:
    major, minor = number.split(".")
    return ModelVersion(
        shop_id=SHOP_ID, version=number, major=int(major), minor=int(minor), parent=parent, encoder="e", artefact="a",
        from_position=from_position, to_position=to_position, seed=0, metrics={}, config={}, state="candidate",
        reason=None, promoted_position=None,
    )  # fmt: skip


FAMILY = [
    version("1.10", "1.2", 20, 30),
    version("1.2", "1.1", 10, 20),
    version("1.1", "1.0", 0, 10),
    version("1.3", "1.1", 20, 25),
    version("1.0", None, 0, 0),
]


def test_a_version_learned_from_what_closed_in_its_range_the_end_included() -> None:
    assert versions_learned(FAMILY, [10, 20, 20]).trained == {"1.1": 1, "1.2": 2}


def test_what_goes_on_from_such_a_version_is_told_apart() -> None:
    learned = versions_learned(FAMILY, [12])

    assert (learned.trained, learned.descended) == ({"1.2": 1}, ["1.10"])


def test_nobody_taught_nothing() -> None:
    assert versions_learned(FAMILY, []).trained == {}
