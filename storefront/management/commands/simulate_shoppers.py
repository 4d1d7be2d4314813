"""`manage.py simulate_shoppers`: shoppers search, click and buy; a table shows what the answers learned."""

import os
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from storefront.api_client import ApiClient, ApiRefused
from storefront.shoppers import TRENDS, sample_taste
from storefront.simulation import EventBuffer, Visit, Window, visits, windows

WINDOWS = 6
DEFAULT_SECONDS = 60.0


class Command(BaseCommand):
    """Simulate the shoppers of the sample shop through the REST API."""

    help = "Simulate shoppers of the sample shop: they search, click by a hidden taste that changes, and buy."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare where, how long, how fast and with which taste."""
        port = os.environ.get("PORT", "8000")
        parser.add_argument("--url", default=f"http://127.0.0.1:{port}", help="where the API is (%(default)s)")
        parser.add_argument("--key", help="API key with scopes search and events; default: FRESHET_API_KEY or its file")
        length = parser.add_mutually_exclusive_group()
        length.add_argument("--seconds", type=_positive, help=f"how long ({DEFAULT_SECONDS:g})")
        length.add_argument("--searches", type=int, help="how many searches instead")
        parser.add_argument("--rate", type=_positive, default=20.0, help="searches a second at most (%(default)g)")
        parser.add_argument("--seed", type=int, default=7, help="of tastes, queries and choices (%(default)s)")
        parser.add_argument("--trend", choices=TRENDS, default="flip", help="how tastes change (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the shoppers and print the table."""
        console = Console()
        client = ApiClient(url=options["url"], key=options["key"] or find_api_key())
        taste = sample_taste(seed=options["seed"], trend=options["trend"])
        events = EventBuffer(client=client, clock=time.monotonic)
        progress = progress_by(seconds=options["seconds"], searches=options["searches"])
        walk = visits(
            client=client, taste=taste, seed=options["seed"], rate=options["rate"], progress=progress, events=events
        )
        seen: list[Visit] = []
        try:
            with _progress_bar(console) as bar:
                task = bar.add_task("shoppers", total=1.0)
                for visit in walk:
                    seen.append(visit)
                    bar.update(task, completed=progress(len(seen)), description=f"{len(seen)} searches")
        except KeyboardInterrupt:
            console.print("Stopped; here is what was seen so far.")
        except ApiRefused as refused:
            raise CommandError(str(refused)) from refused
        _report(console=console, seen=seen, events=events, trend=options["trend"])


def find_api_key() -> str:
    """Return the key of FRESHET_API_KEY, else the one that `make run` keeps. Raises CommandError without either."""
    if key := os.environ.get("FRESHET_API_KEY"):
        return key
    file = Path(settings.FRESHET_HOME) / "api_key"
    if not file.is_file():
        raise CommandError(f"No API key: give --key, set FRESHET_API_KEY, or start `make run`, which writes {file}.")
    return file.read_text("utf-8").strip()


def progress_by(*, seconds: float | None, searches: int | None) -> Callable[[int], float]:
    """Return how far a run is, in [0, 1], from the searches done so far: by their number or by the clock."""
    if searches is not None:
        return lambda done: done / max(1, searches)
    length, started = seconds or DEFAULT_SECONDS, time.monotonic()
    return lambda _: min(1.0, (time.monotonic() - started) / length)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError("must be a number above 0")
    return number


def _progress_bar(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console)


def _report(*, console: Console, seen: Sequence[Visit], events: EventBuffer, trend: str) -> None:
    if not seen:
        console.print("No searches were made.")
        return
    stretches = windows(seen, count=WINDOWS)
    console.print(_table(stretches, trend=trend))
    console.print(f"{len(seen)} searches, {events.accepted} events accepted, {events.rejected} rejected.")
    for line in summary(stretches, trend=trend):
        console.print(line)


def summary(stretches: Sequence[Window], *, trend: str) -> list[str]:
    """Return what the windows say about learning, one sentence for each taste that held and one for the end.

    Parts are compared by their gain over the first answers to the same queries: each part asks other queries, and these
    are not equally hard.
    """
    if trend == "flip":
        tastes = {
            "Before the taste flipped": [window for window in stretches if window.end <= 0.5],
            "After it flipped": [window for window in stretches if window.start >= 0.5],
        }
    else:
        tastes = {"From the first part to the last": list(stretches)}
    lines = [
        f"{name}, learning was worth {_gain(held[0]):+.3f} nDCG@10 in the first part and {_gain(held[-1]):+.3f} in the last."
        for name, held in tastes.items()
        if held
    ]
    last = stretches[-1]
    return [
        *lines,
        f"By the shoppers' own taste, the last answers score {last.ndcg:.3f}; the first answers to the same queries would "
        f"have scored {last.first_answer_ndcg:.3f}.",
    ]


def _gain(window: Window) -> float:
    return window.ndcg - window.first_answer_ndcg


def _table(stretches: Sequence[Window], *, trend: str) -> Table:
    table = Table(title="What the answers learned from the shoppers")
    table.add_column("of the run", justify="right", min_width=11)
    for column in ("searches", "nDCG@10", "first\nanswers", "gain", "click in\ntop 3", "age"):
        table.add_column(column, justify="right", min_width=6)
    for window in stretches:
        if trend == "flip" and window.start == 0.5:
            table.add_section()
            table.add_row("taste flips")
        table.add_row(
            f"{window.start:.0%}-{window.end:.0%}",
            str(window.visits),
            f"{window.ndcg:.3f}",
            f"{window.first_answer_ndcg:.3f}",
            f"{_gain(window):+.3f}",
            f"{window.clicked_in_top_3:.0%}",
            f"{window.age_seconds:.2f} s",
        )
    return table
