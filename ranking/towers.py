"""What this process serves with: frozen encoders, and a query tower with its head for each model version in use.

A promoted version is picked up without a restart: a thread looks every half second, puts the new tower together beside
the old one, gathers the vectors of the busiest queries, and only then lets searches have it.

What loads torch is imported where it is used: it costs a process 4 s of CPU and 300 MB, and the projections worker, the
beat and most commands never encode anything.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import structlog
from django.conf import settings
from django.db import close_old_connections
from numpy.typing import NDArray

from eventlog.database import rows
from eventlog.models import DEFAULT_SHOP_ID
from ranking.query_vectors import Floats, QueryVectors
from ranking.registry import ModelVersion, ModelVersionNotFound, artefact_load, model_awaited, model_get, model_serving
from ranking.relevance import Head, head_default

if TYPE_CHECKING:
    from ranking.encoders import Encoder
    from ranking.learning.shopper_tower import ShopperTower

log = structlog.get_logger(__name__)
BUSIEST = 500
WARM_SECONDS = (
    1.0  # what is not encoded by then is encoded when it is asked for: a version serves within 2 s of promotion
)
UNTRAINED = "1.0"


@dataclass(frozen=True, slots=True)
class Model:
    """A model version as a process serves it: `tower` encodes queries, `frozen` is the pre-trained encoder below it.

    `shopper` makes a vector of what a shopper did; None while no version has learned to.
    """

    version: str
    major: int
    head: Head
    tower: Encoder
    frozen: Encoder
    artefact: str = ""
    expected: Mapping[str, float] = field(default_factory=dict)
    shopper: ShopperTower | None = None

    def expected_of(self, product_ids: Sequence[str]) -> NDArray[np.float64]:
        """By how much more than average this version expects of products where they were shown, (N,); 1 where unknown."""
        if not self.expected:
            return np.ones(len(product_ids))
        return np.array([self.expected.get(product_id, 1.0) for product_id in product_ids], dtype=np.float64)

    @property
    def is_frozen(self) -> bool:
        return self.tower is self.frozen

    @property
    def is_personal(self) -> bool:
        """Whether the taste of the shopper who asks goes into ŷ: only where it was better on the newest click-throughs."""
        return self.shopper is not None and self.head.personal > 0

    @property
    def tower_key(self) -> str:
        """What a kept vector depends on besides its text: the encoder, and the artefact that moved what is inside it."""
        return self.frozen.fingerprint if self.below is self.frozen else f"{self.frozen.fingerprint}/{self.artefact}"

    @property
    def below(self) -> Encoder:
        """The encoder whose vectors are kept: a projection is applied to those of the frozen one when they are asked for."""
        return self.tower if self.tower.projection is None else self.frozen


class ModelQueryVectors:
    """Vectors of queries under the models of this process."""

    def __init__(self) -> None:
        self.kept = QueryVectors(at_once=settings.ENCODE_AT_ONCE)

    def get(self, model: Model, text: str, *, frozen: bool = False) -> Floats:
        """Look up or encode a query, (D,) float32, by the model's tower or by the encoder below it."""
        encoder = model.frozen if frozen else model.below
        key = model.frozen.fingerprint if frozen else model.tower_key
        vector = self.kept.get(key, encoder.query_text(text), lambda: encoder.encode_query(text))
        return vector if frozen or encoder is model.tower else model.tower.projected(vector)

    def warm(self, model: Model, texts: Sequence[str], *, seconds: float | None = None) -> int:
        """Gather the vectors of these queries and encode what is missing for at most so long; return how many are there."""
        fed = {model.tower.query_text(text): text for text in texts}
        there = self.kept.fetch(model.tower_key, list(fed))
        until = None if seconds is None else monotonic() + seconds
        for each, text in fed.items():
            if each not in there:
                if until is not None and monotonic() > until:
                    break
                self.get(model, text)
                there.add(each)
        return len(there)

    def keep_warm(self, model: Model, texts: Sequence[str], *, seconds: float) -> int:
        """As `warm`, and let all processes have these vectors for another hour."""
        there = self.warm(model, texts, seconds=seconds)
        self.kept.renew(model.tower_key, [model.tower.query_text(text) for text in texts])
        return there


query_vectors = ModelQueryVectors()
_loading = threading.Lock()


def encoder_frozen(name: str | None) -> Encoder:
    """The encoder of this name in fp32, loaded once a process: pre-trained, or a major version's query tower."""
    with _loading:  # two threads that load at once would hold it twice for a moment: half a gigabyte each
        return _encoder_frozen(name)


@lru_cache(maxsize=4)
def _encoder_frozen(name: str | None) -> Encoder:
    from ranking.major_towers import encoder_named

    return encoder_named(name, side="query", precision="fp32")


class Serving:
    """The model each shop is served with in this process."""

    def __init__(self) -> None:
        self._models: dict[int, Model] = {}
        self._awaited: set[int] = set()
        self._locks: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def model(self, shop_id: int) -> Model:
        """The model to answer with now. The first call for a shop loads it; later ones never wait."""
        model = self._models.get(shop_id)
        if model is None or settings.FRESHET_MODEL_REFRESH_SECONDS == 0:
            model = self.refresh(shop_id)
        self._watch()
        return model

    def load_in_background(self) -> None:
        """Load the default shop's model now, in the thread that will also look for newer ones."""
        self._awaited.add(DEFAULT_SHOP_ID)
        self._watch()

    def is_loading(self) -> bool:
        """Whether a model that this process was told to load is not there yet."""
        return not self._awaited <= self._models.keys()

    def refresh(self, shop_id: int) -> Model:
        """Load the version that serves, if it is not the one already loaded; the old one answers until it is ready."""
        with self._lock_of(shop_id):
            current = self._models.get(shop_id)
            serving = model_serving(shop_id=shop_id)
            if current is not None and (serving is None or serving.version == current.version):
                return current
            started = monotonic()
            model = model_load(serving) if serving else model_untrained()
            warm = query_vectors.warm(model, busiest(shop_id), seconds=WARM_SECONDS) if current else 0
            self._models[shop_id] = model
            took = round(monotonic() - started, 3)
            log.info("model_serving", shop_id=shop_id, version=model.version, warm_queries=warm, seconds=took)
            return model

    def _lock_of(self, shop_id: int) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(shop_id, threading.Lock())

    def _watch(self) -> None:
        if self._thread is not None or settings.FRESHET_MODEL_REFRESH_SECONDS == 0:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._refresh_for_ever, name="model-refresh", daemon=True)
                self._thread.start()

    def _refresh_for_ever(self) -> None:
        pause = threading.Event()
        while True:
            self.refresh_each()
            pause.wait(settings.FRESHET_MODEL_REFRESH_SECONDS)

    def refresh_each(self) -> None:
        """Look for a newer version for every shop; one shop's lost artefact must not keep the others from theirs."""
        for shop_id in sorted(self._awaited | set(self._models)):
            try:
                self.refresh(shop_id)
                if awaited := model_awaited(
                    shop_id=shop_id
                ):  # its tower stands ready beside the old one when it serves
                    encoder_frozen(awaited.config.get("encoder_name"))
            except Exception:  # the thread must outlive a database that is away; searches go on with what they have
                log.exception("model_refresh_failed", shop_id=shop_id)
                close_old_connections()


serving = Serving()


def model_untrained() -> Model:
    """Version 1.0 before it is registered: the configured encoder as it came, with its default head."""
    encoder = encoder_frozen(settings.FRESHET_ENCODER)
    return Model(UNTRAINED, 1, head_default(encoder.name), encoder, encoder)


def model_load(version: ModelVersion) -> Model:
    """Put a version's tower and head together from its artefact. Raises ModelVersionNotFound when its bytes are gone."""
    frozen = encoder_frozen(version.config.get("encoder_name"))
    from ranking.learning.adapters import tower_with_adapter
    from ranking.learning.artefact import artefact_read
    from ranking.learning.shopper_tower import shopper_tower

    artefact = artefact_read(artefact_load(version.artefact))
    tower = tower_with_adapter(frozen, artefact) if artefact.tensors else frozen
    shopper = shopper_tower(artefact.shopper, artefact.shopper_shape) if artefact.shopper else None
    return Model(
        version.version, version.major, artefact.head, tower, frozen, version.artefact, artefact.expected, shopper
    )


def model_at(shop_id: int, version: str) -> Model:
    """A version by number, for making an old answer again. Raises ModelVersionNotFound."""
    if version == UNTRAINED and model_serving(shop_id=shop_id) is None:
        return model_untrained()
    return _model_at(shop_id, version)


def model_of(served: Model, shop_id: int, version: str | None) -> Model | None:
    """The version that a variant of an experiment names, beside the one that serves; None where it cannot answer now:
    its artefact is gone, or the vectors that are kept are another major version's."""
    if version is None or version == served.version:
        return served
    try:
        model = model_at(shop_id, version)
    except ModelVersionNotFound:
        return None
    return model if model.major == served.major else None


@lru_cache(maxsize=8)  # 14 MB each: only the matrices that differ from the encoder's
def _model_at(shop_id: int, version: str) -> Model:
    return model_load(model_get(shop_id=shop_id, version=version))


def query_vectors_prepare(*, shop_id: int, model: Model) -> None:
    """Encode the busiest queries under a version that is about to be promoted, where serving processes find them."""
    query_vectors.warm(model, busiest(shop_id))


_BUSIEST = """
SELECT coalesce(max(context_text), context_key) FROM
  (SELECT context_key, context_text FROM feedback_clickthrough
    WHERE shop_id = %s AND context_kind = 'query' ORDER BY closed_position DESC LIMIT 20000) newest
 GROUP BY context_key ORDER BY count(*) DESC, context_key LIMIT %s"""


def busiest(shop_id: int, limit: int = BUSIEST) -> list[str]:
    """The queries that shoppers asked most of late, the busiest first, as they typed them."""
    return [text for (text,) in rows(_BUSIEST, [shop_id, limit])]
