"""`manage.py refresh_queries`: refresh the result lists of the busiest queries now, and show what moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from eventlog.consume import sequence_and_drain
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.query_refresh import Refresh, Refreshed, result_lists_refresh
from ranking.result_lists import StaleList
from ranking.towers import BUSIEST

MOVED_SHOWN = 10
PRODUCTS_SHOWN = 3
_SAID = {
    "new": "new: busy, and had no list",
    "model": "model: another version serves",
    "products": "products: a listed one changed or was retired",
    "feedback": "feedback: shoppers saw or did something there",
    "age": "age: older than a day",
    "operator": "operator: asked for by --all",
    "unasked": "retired: not asked for 30 days",
    "empty": "retired: finds nothing any more",
}


class Command(BaseCommand):
    help = "Refresh the stale result lists of the busiest queries, as the worker does hourly, and show what moved."
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument(
            "--limit", type=int, default=BUSIEST, help="how many of the busiest queries have a list, 500 by default"
        )
        parser.add_argument("--all", action="store_true", help="lists that are not stale, too")

    def handle(self, *args: Any, shop: int, limit: int, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if limit < 1:
            raise CommandError("--limit must be at least 1.")
        sequence_and_drain()
        outcome = result_lists_refresh(
            shop_id=shop, now=datetime.now(UTC), limit=limit, everything=options["all"], progress=_bar
        )
        sequence_and_drain()
        self._report(outcome)

    def _report(self, outcome: Refresh) -> None:
        if outcome.taken:
            self.stdout.write(f"{outcome.taken} were refreshed by somebody else meanwhile.")
        if not outcome.refreshed and not outcome.retired:
            self.stdout.write("Nothing refreshed: no list is stale. --all refreshes every one.")
            return
        console = Console(file=cast("IO[str]", self.stdout))
        console.print(_counts(outcome))
        moved = sorted(
            (each for each in outcome.refreshed if each.overlap is not None and each.overlap < 1.0),
            key=lambda each: (each.overlap, each.query),
        )
        if moved:
            console.print(_moved(moved[:MOVED_SHOWN]))
        known = sum(each.overlap is not None for each in outcome.refreshed)
        if known:
            console.print(f"{len(moved)} of {known} queries that had a list before answer otherwise now.")


def _bar(stale: Sequence[StaleList]) -> Iterable[StaleList]:
    return tqdm(stale, unit="query", desc="result lists", disable=not stale)


def _counts(outcome: Refresh) -> Table:
    table = Table(title="Result lists")
    table.add_column("refreshed, because")
    table.add_column("lists", justify="right")
    reasons = Counter([each.reason for each in outcome.refreshed] + [reason for _, reason in outcome.retired])
    for reason, said in _SAID.items():
        if reasons[reason]:
            table.add_row(said, str(reasons[reason]))
    return table


def _moved(moved: Sequence[Refreshed]) -> Table:
    table = Table(title="Moved most (overlap 1: as before; 0: nothing in common)")
    table.add_column("query")
    table.add_column("overlap", justify="right", no_wrap=True)
    table.add_column("because")
    table.add_column("entered", overflow="fold")
    table.add_column("left", overflow="fold")
    for each in moved:
        table.add_row(escape(each.query), f"{each.overlap:.3f}", each.reason, _some(each.entered), _some(each.left))
    return table


def _some(products: Sequence[str]) -> str:
    more = len(products) - PRODUCTS_SHOWN
    shown = escape(", ".join(products[:PRODUCTS_SHOWN]))
    return f"{shown}, {more} more" if more > 0 else shown
