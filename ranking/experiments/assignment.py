"""Which experiment a request counts in: what serving asks before it answers. No round trip but twice a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any

from django.conf import settings

from ranking.experiments.assigning import assigned, draw_seed
from ranking.experiments.experiment import Experiment, experiments_running

INTERLEAVED = "interleaved"  # the variant of every list of an interleaving


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one request is shown. `settings` are its variant's, empty: as the shop is.

    It does not count where its variant was stopped. In an interleaving `against` are the settings of the second ranking.
    """

    experiment: str
    variant: str
    settings: Mapping[str, Any]
    counts: bool = True
    against: Mapping[str, Any] | None = None
    seed: int = 0
    subject: bytes = b""

    @property
    def label(self) -> str | None:
        """What the ranking token says, where the request counts."""
        return f"{self.experiment}:{self.variant}" if self.counts else None

    @property
    def block(self) -> dict[str, str] | None:
        """What the answer says, where the request counts."""
        return {"id": self.experiment, "variant": self.variant} if self.counts else None

    def draw_seed(self, context_key: str) -> int:
        """The seed of this shopper's interleaved list of a context."""
        return draw_seed(self.seed, self.subject, context_key)


def running(shop_id: int, surface: str, subject: bytes | None) -> Assignment | None:
    """What the experiment that runs on a surface gives a shopper; None without one, or for whom it has no part.

    `subject` is `feedback.privacy.shopper_hash` of the shopper who asks, which is known of one who was never seen before
    as well. Who asks without a shopper's id is in no experiment: nothing says which of the requests are the same person's.
    A process sees a start or a stop within half a second of its being drained.
    """
    if subject is None:
        return None
    experiment = _running.of(shop_id).get(surface)
    return None if experiment is None else assignment_of(experiment, subject)


def assignment_of(experiment: Experiment, subject: bytes) -> Assignment | None:
    """What an experiment gives a shopper (pure). The shoppers of a stopped variant see what control's see, uncounted."""
    number = assigned(experiment.seed, subject, [variant.share for variant in experiment.variants])
    if number is None:
        return None
    if experiment.kind == "interleaving":
        first, second = experiment.variants
        return Assignment(experiment.id, INTERLEAVED, first.settings, True, second.settings, experiment.seed, subject)
    variant = experiment.variants[number]
    if variant.name in experiment.stopped:
        return Assignment(experiment.id, variant.name, experiment.control.settings, counts=False)
    return Assignment(experiment.id, variant.name, variant.settings)


class _Running:
    """The experiments that run, by shop and surface, as of half a second ago at most."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[float, dict[str, Experiment]]] = {}
        self._lock = Lock()

    def of(self, shop_id: int) -> dict[str, Experiment]:
        now = monotonic()
        kept = self._kept.get(shop_id)
        if kept is not None and now - kept[0] < settings.FRESHET_MODEL_REFRESH_SECONDS:
            return kept[1]
        if kept is not None and not self._lock.acquire(blocking=False):
            return kept[1]  # another thread is asking; nobody waits for it
        try:
            found = {each.surface: each for each in experiments_running(shop_id=shop_id)}
            self._kept[shop_id] = (now, found)
            return found
        finally:
            if kept is not None:
                self._lock.release()


_running = _Running()
