"""`manage.py model_diff A B`: the queries whose first ten moved most between two model versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO, Any, cast

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID
from ranking.model_diff import ModelDiff, diff_queries, model_diff

QUERIES, SHOWN, PRODUCTS_SHOWN = 200, 20, 3


class Command(BaseCommand):
    help = "Show the queries whose first ten moved most between two model versions, as both would answer now."
    requires_system_checks = ()  # they import every address: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("first", metavar="A", help='such as "1.2"; GET /v1/models lists them')
        parser.add_argument("second", metavar="B", help='such as "1.3"')
        parser.add_argument(
            "--queries", type=int, default=QUERIES, help=f"ask the N busiest queries, {QUERIES} by default"
        )
        parser.add_argument("--judged", action="store_true", help="ask those of the judgement list instead")
        parser.add_argument("--json", action="store_true", help="every query with both first pages, for programs")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")

    def handle(
        self, *args: Any, first: str, second: str, queries: int, judged: bool, shop: int, **options: Any
    ) -> None:
        if queries < 1:
            raise CommandError("--queries must be at least 1.")
        asked = diff_queries(shop_id=shop, limit=queries, judged=judged)
        progress = iter if options["json"] else _bar
        try:
            diff = model_diff(
                shop_id=shop, first=first, second=second, queries=asked, now=datetime.now(UTC), progress=progress
            )
        except FreshetError as error:
            raise CommandError(error.detail) from error
        if options["json"]:
            self.stdout.write(_json(diff))
        else:
            self._report(diff)

    def _report(self, diff: ModelDiff) -> None:
        if not diff.queries:
            self.stdout.write("Nothing asked: no shopper has searched yet. --judged asks the judgement list.")
            return
        console = Console(file=cast("IO[str]", self.stdout))
        if diff.moved:
            console.print(_table(diff))
        console.print(
            f"{len(diff.moved)} of {len(diff.queries)} queries answer otherwise; the mean overlap is {diff.overlap:.3f}."
        )


def _json(diff: ModelDiff) -> str:
    members = [
        {"query": each.query, "overlap": each.overlap, "before": each.before, "after": each.after,
         "entered": each.entered, "left": each.left}
        for each in diff.queries
    ]  # fmt: skip
    answer = {"first": diff.first, "second": diff.second, "overlap": diff.overlap, "queries": members}
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()


def _bar(queries: Sequence[str]) -> Iterable[str]:
    return tqdm(queries, unit="query", desc="asking both", disable=not queries)


def _table(diff: ModelDiff) -> Table:
    table = Table(title=f"Moved most from {diff.first} to {diff.second} (overlap 1: the same; 0: nothing in common)")
    table.add_column("query")
    table.add_column("overlap", justify="right", no_wrap=True)
    table.add_column("entered", overflow="fold")
    table.add_column("left", overflow="fold")
    for each in diff.moved[:SHOWN]:
        table.add_row(escape(each.query), f"{each.overlap:.3f}", _some(each.entered), _some(each.left))
    return table


def _some(products: Sequence[str]) -> str:
    more = len(products) - PRODUCTS_SHOWN
    shown = escape(", ".join(products[:PRODUCTS_SHOWN]))
    return f"{shown}, {more} more" if more > 0 else shown
