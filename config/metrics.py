"""What Prometheus is told: each request as it ends, and the state of the log at each scrape."""

from __future__ import annotations

import os
from collections.abc import Iterator

import structlog
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector
from psycopg import Error as PsycopgError

from eventlog.models import Shop
from eventlog.selectors import lags, last_position, oldest_pending_seconds, parked, partitions_ahead, pending_count
from ranking.cadence import cadence_read
from ranking.learning_state import learning_states
from ranking.registry import model_serving
from ranking.selectors import forgetting

log = structlog.get_logger(__name__)

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUESTS = Counter("freshet_requests", "Requests answered.", ["method", "route", "status"])
_SECONDS = Histogram("freshet_request_seconds", "Time to answer, in seconds.", ["method", "route"], buckets=_BUCKETS)


def observe_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request by its route (never by its path: products would make as many series)."""
    method = method if method in _METHODS else "other"
    if not route.startswith("v1/"):
        route = route.partition("/")[0] or "(home)"  # the pages of the admin are one route
    _REQUESTS.labels(method, route, str(status)).inc()
    _SECONDS.labels(method, route).observe(seconds)


class LogCollector(Collector):
    """Gauges of the log and of learning, read at each scrape; without the database only `freshet_database_up 0`."""

    def collect(self) -> Iterator[Metric]:
        gauges: list[Metric]
        try:
            gauges = [*_log_gauges(), *_lag_gauges(), *_learning_gauges(), *_version_gauges()]
        except (DatabaseError, PsycopgError) as error:
            log.warning("metrics_without_database", error=repr(error))
            gauges = []
        yield _gauge("database_up", "1 while the database answers.", 1.0 if gauges else 0.0)
        yield from gauges


def _log_gauges() -> Iterator[GaugeMetricFamily]:
    yield _gauge("log_head_position", "The newest position of the log.", last_position())
    yield _gauge("log_pending_events", "Events that wait for a position.", pending_count())
    yield _gauge(
        "log_oldest_pending_seconds", "Age of the oldest event that waits for a position.", oldest_pending_seconds()
    )
    yield _gauge(
        "log_partitions_ahead",
        "Empty partitions ahead of the log: 2 is well, under 1 appends fail.",
        partitions_ahead(),
    )


def _lag_gauges() -> Iterator[GaugeMetricFamily]:
    events = GaugeMetricFamily("freshet_consumer_lag_events", "Events behind the head of the log.", labels=["consumer"])
    seconds = GaugeMetricFamily(
        "freshet_consumer_lag_seconds", "Age of the first event not applied.", labels=["consumer"]
    )
    stopped = GaugeMetricFamily("freshet_consumer_parked_events", "Events parked and not retried.", labels=["consumer"])
    parked_by: dict[str, int] = {}
    for consumer, *_ in parked():
        parked_by[consumer] = parked_by.get(consumer, 0) + 1
    for lag in lags():
        events.add_metric([lag.consumer], lag.events)
        seconds.add_metric([lag.consumer], lag.seconds)
        stopped.add_metric([lag.consumer], parked_by.get(lag.consumer, 0))
    yield from (events, seconds, stopped)


def _learning_gauges() -> Iterator[GaugeMetricFamily]:
    refused = GaugeMetricFamily(
        "freshet_learning_refused_in_a_row",
        "Model versions that the gate refused since one was promoted.",
        labels=["shop"],
    )
    slowdown = GaugeMetricFamily(
        "freshet_learning_slowdown", "Times the usual click-throughs that the next version waits for.", labels=["shop"]
    )
    drift = GaugeMetricFamily(
        "freshet_model_day_overlap",
        "Rank-biased overlap of first pages of the version that serves with those of what served a day before it.",
        labels=["shop"],
    )
    forgot = GaugeMetricFamily(
        "freshet_model_forgetting",
        "What the version that serves lost on click-throughs from before its range when it was judged.",
        labels=["shop", "figure"],
    )
    for shop_id in Shop.objects.order_by("id").values_list("id", flat=True):
        cadence, serving = cadence_read(shop_id=shop_id), model_serving(shop_id=shop_id)
        refused.add_metric([str(shop_id)], cadence.refused_in_a_row)
        slowdown.add_metric([str(shop_id)], cadence.slowdown)
        metrics = serving.metrics if serving else {}
        if (overlap := metrics.get("gate", {}).get("day_overlap")) is not None:
            drift.add_metric([str(shop_id)], overlap)
        for figure, lost in (forgetting(metrics) or {}).items():
            forgot.add_metric([str(shop_id), figure], lost)
    yield from (refused, slowdown, drift, forgot)


def _version_gauges() -> Iterator[Metric]:
    trained = CounterMetricFamily("freshet_versions_trained", "Model versions trained.", labels=["shop"])
    promoted = CounterMetricFamily("freshet_versions_promoted", "Model versions that served.", labels=["shop"])
    refused = CounterMetricFamily("freshet_versions_refused", "Model versions the gate refused.", labels=["shop"])
    age = GaugeMetricFamily(
        "freshet_serving_version_seconds", "Since the version that serves was promoted.", labels=["shop"]
    )
    waiting = GaugeMetricFamily(
        "freshet_trainer_waiting_click_throughs",
        "Closed with an outcome, not learned from; 10000 at most.",
        labels=["shop"],
    )
    for state in learning_states():
        shop = [str(state.shop_id)]
        trained.add_metric(shop, state.trained)
        promoted.add_metric(shop, state.promoted)
        refused.add_metric(shop, state.refused)
        waiting.add_metric(shop, state.waiting)
        if state.serving_seconds is not None:
            age.add_metric(shop, state.serving_seconds)
    yield from (trained, promoted, refused, age, waiting)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"freshet_{name}", text, value=value)


def metrics(request: HttpRequest) -> HttpResponse:
    """GET /metrics: the sum over all serving processes, and the log's state."""
    state = CollectorRegistry()
    state.register(LogCollector())
    return HttpResponse(generate_latest(_counted()) + generate_latest(state), content_type=CONTENT_TYPE_LATEST)


def _counted() -> CollectorRegistry:
    """What this process counted, or all processes under gunicorn, which share a folder (`config/gunicorn.py`)."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
