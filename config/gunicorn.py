"""How gunicorn serves: `python -m gunicorn --config config/gunicorn.py config.wsgi`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import multiprocess

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

# One query on one core: more cores encode one query hardly faster, and threads that each want all cores stand in each
# other's way (bench.serve, new queries of 16 clients on two cores: 52 to 55 searches/s instead of 51). Torch reads it
# on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

bind = f"{os.environ.get('FRESHET_BIND', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
# Two processes: a search is Python as well as SQL, and one process would keep it on one core. Threads: a request
# mostly waits for PostgreSQL; each thread holds one connection for its life.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "config.web_worker.WebWorker"  # threads
threads = 8
# Imported once, then forked: half the start, and a worker that died is back at once. Nothing may open a connection or
# compute with torch on import, for neither connections nor torch's thread pool survive a fork.
preload_app = True
keepalive = 30
timeout = 60
graceful_timeout = 5
limit_request_line = 8190  # the most that gunicorn reads; a Chinese character takes 9 of them in an address
accesslog = None
loglevel = "warning"
control_socket_disable = True  # the supervisor controls it
# the heartbeat file must not wait for a disk
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None


def on_starting(server: Arbiter) -> None:
    """Counters begin at zero with the server, as those of one process would."""
    if counts := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        shutil.rmtree(counts, ignore_errors=True)
        Path(counts).mkdir(mode=0o700, parents=True)


def post_worker_init(worker: Worker) -> None:
    """Load the model behind the first requests, so that no shopper waits for it."""
    from ranking.towers import serving

    serving.load_in_background()


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Forget the gauges of a process that has gone; its counters stay in the sum."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
