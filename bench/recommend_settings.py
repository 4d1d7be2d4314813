"""The project's settings for recommending along a log: the bench sequences and drains by itself, and only what it reads."""

from config.settings import *  # noqa: F403

EVENTLOG_WAKE_UP = ""
EVENTLOG_PROJECTIONS = [
    "catalog.projections.products",
    "ranking.projections.postings.postings",
    "ranking.projections.weights.weights",
    "ranking.projections.models.models",
    "ranking.projections.vectors.vectors",
    "ranking.projections.visits.visits",
]
FRESHET_MODEL_REFRESH_SECONDS = 0  # no version is trained here, so no thread need look for one
