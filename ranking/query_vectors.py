"""Vectors of queries, kept twice: in the process, and in Valkey for all processes (0.2 ms there, 10 ms to encode).

Queries are encoded in fp32 at batch 1 everywhere, so it does not matter who encoded one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from hashlib import blake2b
from time import monotonic

import numpy as np
import structlog
from cachetools import LRUCache
from django.core.cache import cache
from numpy.typing import NDArray
from redis.exceptions import RedisError

Floats = NDArray[np.float32]
log = structlog.get_logger(__name__)
_IN_PROCESS = 50_000  # 384 floats each: 80 MB at most
_SHARED_SECONDS = 3600  # 1.7 KB each: an hour of six new queries a second is 37 MB
_AWAY_SECONDS = 5.0  # without Valkey searches go on, and do not wait for it each time


class QueryVectors:
    """Vectors by tower and text. Those of a tower that is gone age out."""

    def __init__(self, *, at_once: int = 1) -> None:
        """`at_once` is how many may be encoded at the same time: cores that are shared encode less, not more."""
        self._vectors: LRUCache[tuple[str, str], Floats] = LRUCache(_IN_PROCESS)
        self._encoding = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._away_until = 0.0

    def get(self, tower: str, text: str, encode: Callable[[], Floats]) -> Floats:
        """The vector of a text under a tower, (D,) float32; encoded when no process has met it."""
        with self._lock:
            vector = self._vectors.get((tower, text))
        if vector is None:
            vector = self._shared([_key(tower, text)]).get(_key(tower, text))
            if vector is None:
                return self._encoded(tower, text, encode)
            self._keep(tower, text, vector)
        return vector

    def _encoded(self, tower: str, text: str, encode: Callable[[], Floats]) -> Floats:
        with self._encoding:
            with self._lock:
                vector = self._vectors.get((tower, text))  # many ask at once for what is new: the first encoded it
            if vector is not None:
                return vector
            vector = encode()
            self._keep(tower, text, vector)
        self._share(_key(tower, text), vector)  # outside: a slow Valkey must not keep others from encoding
        return vector

    def fetch(self, tower: str, texts: Sequence[str]) -> set[str]:
        """Bring into this process what others encoded; return the texts that are now there."""
        with self._lock:
            there = {text for text in texts if (tower, text) in self._vectors}
        wanted = {_key(tower, text): text for text in texts if text not in there}
        for key, vector in self._shared(list(wanted)).items():
            self._keep(tower, wanted[key], vector)
            there.add(wanted[key])
        return there

    def renew(self, tower: str, texts: Sequence[str]) -> None:
        """Share what this process has of these again, so that it does not age out."""
        with self._lock:
            there = {text: self._vectors[(tower, text)] for text in texts if (tower, text) in self._vectors}
        if not there or monotonic() < self._away_until:
            return
        try:
            cache.set_many({_key(tower, text): each.tobytes() for text, each in there.items()}, _SHARED_SECONDS)
        except RedisError as error:
            self._is_away(error)

    def _keep(self, tower: str, text: str, vector: Floats) -> None:
        with self._lock:
            self._vectors[(tower, text)] = vector

    def _shared(self, keys: list[str]) -> dict[str, Floats]:
        if not keys or monotonic() < self._away_until:
            return {}
        try:
            found = cache.get_many(keys)
        except RedisError as error:
            self._is_away(error)
            return {}
        return {key: np.frombuffer(content, dtype=np.float32) for key, content in found.items()}

    def _share(self, key: str, vector: Floats) -> None:
        if monotonic() < self._away_until:
            return
        try:
            cache.set(key, vector.tobytes(), _SHARED_SECONDS)
        except RedisError as error:
            self._is_away(error)

    def _is_away(self, error: RedisError) -> None:
        self._away_until = monotonic() + _AWAY_SECONDS
        log.warning("query_cache_away", error=repr(error))


def _key(tower: str, text: str) -> str:
    return "query-vector/" + blake2b(f"{tower}\0{text}".encode(), digest_size=20).hexdigest()
