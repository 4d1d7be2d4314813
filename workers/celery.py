"""The Celery app. Celery is only the wake-up: losing every message costs latency, not data."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

app = Celery("freshet", broker=settings.CELERY_BROKER_URL)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,  # a lost wake-up is repeated by the beat within a second
    worker_prefetch_multiplier=1,
    task_default_queue="projections",
    task_routes={
        "workers.tasks.drain": {"queue": "projections"},
        # short, and not to wait behind a catalogue that is being embedded for an hour
        "workers.tasks.make_partitions": {"queue": "projections"},
        "workers.tasks.tick_clock": {"queue": "projections"},
        "workers.tasks.embed": {"queue": "embedding"},
        "workers.tasks.roll_out": {"queue": "projections"},
        "workers.tasks.embed_major": {"queue": "embedding"},
        # building an index takes minutes, and the trainer has nothing to do meanwhile
        "workers.tasks.advance_majors": {"queue": "training"},
        "workers.tasks.train": {"queue": "training"},
        "workers.tasks.learn_mixes": {"queue": "training"},
        "workers.tasks.*": {"queue": "insights"},
    },
    broker_connection_retry_on_startup=True,
    # no retries in an append's thread, where they took 6 s; workers and beat have retries of their own
    broker_transport_options={"socket_keepalive": True, "socket_connect_timeout": 2.0, "max_retries": 0},
    worker_hijack_root_logger=False,
    timezone="UTC",
    # `expires`: a worker that was away or busy drops unread what the beat sent meanwhile, so that it cannot pile up as work
    beat_schedule={
        "drain": {"task": "workers.tasks.drain", "schedule": 1.0, "options": {"expires": 1}},
        "embed": {"task": "workers.tasks.embed", "schedule": 1.0, "options": {"expires": 1}},
        "train": {"task": "workers.tasks.train", "schedule": 5.0, "options": {"expires": 5}},
        "roll_out": {"task": "workers.tasks.roll_out", "schedule": 5.0, "options": {"expires": 5}},
        "advance_majors": {"task": "workers.tasks.advance_majors", "schedule": 5.0, "options": {"expires": 5}},
        "tick_clock": {"task": "workers.tasks.tick_clock", "schedule": 60.0, "options": {"expires": 60}},
        "watch_experiments": {"task": "workers.tasks.watch_experiments", "schedule": 60.0, "options": {"expires": 60}},
        "refresh_queries": {"task": "workers.tasks.refresh_queries", "schedule": 3600.0, "options": {"expires": 3600}},
        "estimate_examination": {
            "task": "workers.tasks.estimate_examination",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        "learn_mixes": {"task": "workers.tasks.learn_mixes", "schedule": 3600.0, "options": {"expires": 3600}},
        "make_partitions": {"task": "workers.tasks.make_partitions", "schedule": 600.0, "options": {"expires": 600}},
    },
    beat_schedule_filename=str(settings.FRESHET_HOME / "celerybeat-schedule"),
)
app.autodiscover_tasks(["workers"])


@worker_init.connect
def collect_seldom(**_: Any) -> None:
    """Let the garbage collector look seldom, and never at what was loaded to stay.

    A drain makes events by the thousand, none of them in cycles; going through them all again and again took 45 % of
    its time (112 to 63 µs an event).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
