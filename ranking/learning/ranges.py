"""Which click-throughs a version learns from, and which judge it (pure): in log order, train | calibrate | gate.

The next version starts where this one stopped learning, so each click-through first judges a version and then teaches
the next one, and the gate always sees the newest that nothing was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feedback.joining import ClickThrough

CALIBRATE, GATE = 0.2, 0.3  # beyond those trained on, as shares of them
AT_ONCE = 8  # after an import of history, a version takes so many times more, or it would take thousands of versions


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a range (from_position, to_position], by closing position; `trained_to` ends the part trained on.

    `past` are click-throughs from before the range, by which forgetting shows.
    """

    from_position: int
    trained_to: int
    to_position: int
    train: Sequence[ClickThrough]
    calibrate: Sequence[ClickThrough]
    gate: Sequence[ClickThrough]
    past: Sequence[ClickThrough] = ()

    def products(self, older: Sequence[ClickThrough] = ()) -> set[str]:
        """All products that these click-throughs name, and some older ones."""
        every = (*self.train, *self.calibrate, *self.gate, *self.past, *older)
        return {product for each in every for product in each.items}


def clicked(closed: ClickThrough) -> bool:
    """Whether a shopper did something: the others say what was passed over, but not what was better."""
    return bool(closed.outcomes)


def needed(every: int) -> int:
    """How many click-throughs with an outcome a version takes that trains on `every` of them."""
    return every + _share(every, CALIBRATE) + _share(every, GATE)


def split(closed: Sequence[ClickThrough], *, from_position: int, every: int) -> Split | None:
    """Part the click-throughs after a checkpoint, in closing order; None while too few of them have an outcome.

    `every` counts those with an outcome. When enough for several versions wait, one takes them, up to AT_ONCE times as many.
    """
    ends = [n for n, each in enumerate(closed, start=1) if clicked(each)]
    if every < 1 or len(ends) < needed(every):
        return None
    most = every * max(times for times in range(1, AT_ONCE + 1) if needed(every * times) <= len(ends))
    train = ends[most - 1]
    calibrate = ends[most + _share(most, CALIBRATE) - 1]
    gate = ends[needed(most) - 1]
    end = whole(closed, train)
    return Split(
        from_position=from_position,
        trained_to=closed[end - 1].closed_position,
        to_position=closed[gate - 1].closed_position,
        train=closed[: min(train, end)],
        calibrate=closed[train:calibrate],
        gate=closed[calibrate:gate],
    )


def whole(closed: Sequence[ClickThrough], count: int) -> int:
    """Move the end of the trained part so that it does not part those that closed at one position.

    Back by up to half; when even that is one position (the clock closed an evening at once), forward: what lies beyond
    `count` at that position then judges this version and teaches none.
    """
    if count == len(closed) or closed[count - 1].closed_position != closed[count].closed_position:
        return count
    parted = closed[count].closed_position
    before = next((n for n in range(count, 0, -1) if closed[n - 1].closed_position != parted), 0)
    if before >= count / 2:
        return before
    return next((n for n in range(count, len(closed)) if closed[n].closed_position != parted), len(closed))


def _share(count: int, share: float) -> int:
    return max(1, round(count * share))
