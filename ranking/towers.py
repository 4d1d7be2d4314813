"""What this process serves with: frozen encoders, and a query tower with its head for each model version in use.

A promoted version is picked up without a restart: a thread looks every half second, loads the new tower beside the old one,
re-encodes the busiest queries, and only then lets searches have it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import structlog
from cachetools import LRUCache
from django.conf import settings
from django.db import close_old_connections
from numpy.typing import NDArray

from eventlog.database import rows
from ranking.encoders import Encoder, encoder_load
from ranking.learning.adapters import tower_with_adapter
from ranking.learning.artefact import artefact_read
from ranking.registry import ModelVersion, artefact_load, model_get, model_serving
from ranking.relevance import Head, head_default

log = structlog.get_logger(__name__)
REFRESH_SECONDS = 0.5
BUSIEST = 500
_CACHED_QUERIES = 50_000  # 384 floats each: 80 MB at most


@dataclass(frozen=True, slots=True)
class Model:
    """A model version as a process serves it: `tower` encodes queries, `frozen` is the pre-trained encoder below it."""

    version: str
    major: int
    head: Head
    tower: Encoder
    frozen: Encoder

    @property
    def is_frozen(self) -> bool:
        return self.tower is self.frozen


class QueryVectors:
    """Vectors of queries by model version and text; those of a version that is gone age out."""

    def __init__(self) -> None:
        self._vectors: LRUCache[tuple[str, str], NDArray[np.float32]] = LRUCache(_CACHED_QUERIES)
        self._lock = threading.Lock()

    def get(self, model: Model, text: str, *, frozen: bool = False) -> NDArray[np.float32]:
        """Look up or encode a query, (D,) float32: fp32 at batch 1 everywhere, so that it is the same everywhere."""
        encoder = model.frozen if frozen else model.tower
        key = (encoder.fingerprint if encoder is model.frozen else f"{model.version}/{encoder.fingerprint}", text)
        with self._lock:
            vector = self._vectors.get(key)
        if vector is None:
            vector = encoder.encode_query(text)
            with self._lock:
                self._vectors[key] = vector
        return vector


query_vectors = QueryVectors()


@lru_cache(maxsize=4)
def encoder_frozen(name: str | None) -> Encoder:
    """The pre-trained encoder of this name in fp32, loaded once a process."""
    return encoder_load(name, home=settings.FRESHET_HOME, precision="fp32")


class Serving:
    """The model each shop is served with in this process."""

    def __init__(self) -> None:
        self._models: dict[int, Model] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def model(self, shop_id: int) -> Model:
        """The model to answer with now. The first call loads it; later ones never wait."""
        model = self._models.get(shop_id)
        if model is None or settings.FRESHET_MODEL_REFRESH_SECONDS == 0:
            model = self.refresh(shop_id)
        self._watch()
        return model

    def refresh(self, shop_id: int) -> Model:
        """Load the version that serves, if it is not the one already loaded."""
        with self._lock:
            current = self._models.get(shop_id)
            serving = model_serving(shop_id=shop_id)
            if current is not None and (serving is None or serving.version == current.version):
                return current
            model = model_load(serving) if serving else model_untrained()
            if current is not None:
                warm(shop_id, model)
            self._models[shop_id] = model
            log.info("model_serving", shop_id=shop_id, version=model.version)
            return model

    def _watch(self) -> None:
        if self._thread is not None or settings.FRESHET_MODEL_REFRESH_SECONDS == 0:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._refresh_for_ever, name="model-refresh", daemon=True)
                self._thread.start()

    def _refresh_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(settings.FRESHET_MODEL_REFRESH_SECONDS):
            try:
                for shop_id in list(self._models):
                    self.refresh(shop_id)
            except Exception:  # the thread must outlive a database that is away; searches go on with what they have
                log.exception("model_refresh_failed")
                close_old_connections()


serving = Serving()


def model_untrained() -> Model:
    """Version 1.0 before it is registered: the configured encoder as it came, with its default head."""
    encoder = encoder_frozen(settings.FRESHET_ENCODER)
    return Model("1.0", 1, head_default(encoder.name), encoder, encoder)


def model_load(version: ModelVersion) -> Model:
    """Load a version's tower and head from its artefact."""
    frozen = encoder_frozen(version.config.get("encoder_name"))
    artefact = artefact_read(artefact_load(version.artefact))
    tower = tower_with_adapter(frozen, artefact) if artefact.tensors else frozen
    return Model(version.version, version.major, artefact.head, tower, frozen)


@lru_cache(maxsize=4)
def model_at(shop_id: int, version: str) -> Model:
    """A version by number, for making an old answer again."""
    if version == "1.0" and model_serving(shop_id=shop_id) is None:
        return model_untrained()
    return model_load(model_get(shop_id=shop_id, version=version))


def warm(shop_id: int, model: Model) -> None:
    """Encode the busiest queries under a model that is about to serve."""
    sql = """SELECT key FROM ranking_context WHERE shop_id = %s AND kind = 'query'
              ORDER BY (reward + exposure) * power(2.0, greatest((at - extract(epoch FROM now())) / 259200, -1000)) DESC LIMIT %s"""
    for (key,) in rows(sql, [shop_id, BUSIEST]):
        query_vectors.get(model, key)
