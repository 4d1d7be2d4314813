"""The peer of bench/serve.py: what a Python engineer would write otherwise, in one file.

bm25s and faiss and the same encoder in process, behind a bare Django view: no log, no weights, stale until restarted. Each
library at its defaults. With PEER_CACHE=1 it keeps the vectors of queries in an lru_cache.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import bm25s
import django
import faiss
import numpy as np
import orjson
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from numpy.typing import NDArray

from ranking.encoders import Encoder, encoder_load

MIX = 0.5  # of two min-max normalised scores
DEPTH = 200

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="peer", MIDDLEWARE=[])
django.setup()


class Index:
    """Everything in memory, made from two files when the process starts."""

    def __init__(self, folder: Path) -> None:
        self.products: list[dict[str, Any]] = orjson.loads((folder / "products.json").read_bytes())
        vectors = np.load(folder / "vectors.npy")
        self.dense = faiss.IndexFlatIP(vectors.shape[1])
        self.dense.add(vectors)
        self.lexical = bm25s.BM25()
        texts = [f"{product['title']} {product.get('description') or ''}" for product in self.products]
        self.lexical.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def search(self, q: str, k: int) -> list[tuple[int, float]]:
        """The best k of a fixed mix of both."""
        near, cosines = self._dense(q)
        found, bm25 = self.lexical.retrieve(
            bm25s.tokenize(q, stopwords="en", show_progress=False),
            k=min(DEPTH, len(self.products)),
            show_progress=False,
        )
        scores: dict[int, float] = {}
        for rows, values in ((near, cosines), (found[0], bm25[0])):
            low, high = float(values.min()), float(values.max())
            for row, value in zip(rows.tolist(), values.tolist(), strict=True):
                scores[row] = scores.get(row, 0.0) + MIX * (value - low) / ((high - low) or 1.0)
        return sorted(scores.items(), key=lambda item: -item[1])[:k]

    def _dense(self, q: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        cosines, near = self.dense.search(encode(q)[None, :], min(DEPTH, len(self.products)))
        return near[0], cosines[0]


@lru_cache(maxsize=1)
def encoder() -> Encoder:
    return encoder_load(os.environ.get("FRESHET_ENCODER") or None, home=Path(os.environ["FRESHET_HOME"]))


@lru_cache(maxsize=1)
def index() -> Index:
    return Index(Path(os.environ["PEER_INDEX"]))


def encode(q: str) -> NDArray[np.float32]:
    return _encode_cached(q) if os.environ.get("PEER_CACHE") == "1" else encoder().encode_query(q)


@lru_cache(maxsize=50_000)
def _encode_cached(q: str) -> NDArray[np.float32]:
    return encoder().encode_query(q)


def search(request: HttpRequest) -> HttpResponse:
    found = index().search(request.GET["q"], int(request.GET.get("k", "20")))
    items = [
        {"product_id": product["product_id"], "rank": rank, "score": score, "title": product["title"]}
        for rank, (row, score) in enumerate(found, start=1)
        for product in [index().products[row]]
    ]
    return JsonResponse({"items": items})


urlpatterns = [path("v1/search", search), path("health/live", lambda request: HttpResponse("ok"))]
application = get_wsgi_application()
