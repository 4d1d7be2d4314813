"""Events in the background at a steady rate, from a process of their own, so that what is timed is not timed beside them."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from bench.traffic import Answered, Client, bodies_make, events_make

BATCH = 100  # events of a call
CONNECTIONS = 4
PREPARED_SECONDS = 30  # of traffic; then other events are made of the same kind


@dataclass(slots=True)
class Load:
    """What the background did; filled in when it ended."""

    wanted_per_second: float
    per_second: float = 0.0


@contextmanager
def background(url: str, key: str, answers: Sequence[Answered], *, per_second: float, seed: int) -> Iterator[Load]:
    """Send so many events a second while the context lasts. Raises RuntimeError when sending failed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    stop = context.Event()
    process = context.Process(target=_run, args=(theirs, stop, url, key, answers, per_second, seed), daemon=True)
    process.start()
    theirs.close()
    load = Load(per_second)
    try:
        ours.recv()  # bodies are made, the first ones are on their way
        yield load
    finally:
        stop.set()
        answer = ours.recv()
        process.join()
    if isinstance(answer, str):
        raise RuntimeError(f"the background load failed: {answer}")  # noqa: TRY004 - it is the text of an error
    load.per_second = answer


def _run(
    pipe: Connection,
    stop: Event,
    url: str,
    key: str,
    answers: Sequence[Answered],
    per_second: float,
    seed: int,
) -> None:
    sent, failures = [0], list[str]()
    lock = threading.Lock()
    bodies = _bodies(answers, per_second, seed)
    pace = BATCH / per_second
    began = time.perf_counter()

    def send() -> None:
        client = Client(url, key)
        try:
            while not stop.is_set():
                with lock:
                    at, body = began + sent[0] * pace, next(bodies)
                    sent[0] += 1
                time.sleep(max(0.0, at - time.perf_counter()))  # never faster than asked, late as long as it lags
                client.post("/v1/events", body)
        except Exception as error:  # noqa: BLE001 - told to the process that asked for the load
            failures.append(repr(error))

    running = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
    for thread in running:
        thread.start()
    pipe.send("started")
    for thread in running:
        thread.join()
    pipe.send(failures[0] if failures else sent[0] * BATCH / (time.perf_counter() - began))


def _bodies(answers: Sequence[Answered], per_second: float, seed: int) -> Iterator[bytes]:
    """Bodies without end, a stretch made ahead."""
    count = int(per_second * PREPARED_SECONDS)
    ahead = bodies_make(events_make(answers, count=count, seed=seed), BATCH)

    def endless() -> Iterator[bytes]:
        stretch, n = ahead, seed
        while True:
            yield from stretch
            n += 1000
            stretch = bodies_make(events_make(answers, count=20 * BATCH, seed=n), BATCH)

    return endless()
