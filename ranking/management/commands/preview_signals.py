"""`manage.py preview_signals --set click=2`: what other signals would have changed in a past range of the log."""

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

from eventlog.consume import sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.previewing.preview import CLICK_THROUGHS
from ranking.previewing.service import RANGE, signals_preview

SHOWN, PRODUCTS_SHOWN = 20, 3


class Command(BaseCommand):
    help = "Answer the searches of a past range under other signals, beside those in force. Nothing that serves moves."
    requires_system_checks = ()  # they import every address: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument(
            "--set", action="append", required=True, metavar="NAME=NUMBER",
            help="a signal, such as click=2 or context_half_life_seconds=432000; may be repeated",
        )  # fmt: skip
        parser.add_argument("--from", dest="from_at", type=_time, help="beginning of the range; 7 days before its end")
        parser.add_argument("--to", dest="to_at", type=_time, help="its end, now by default; such as 2026-11-30T12:00Z")
        parser.add_argument(
            "--click-throughs", type=int, default=CLICK_THROUGHS,
            help=f"ask the newest N of the range, {CLICK_THROUGHS} by default",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="everything, for programs")

    def handle(self, *args: Any, shop: int, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if options["click_throughs"] < 1:
            raise CommandError("--click-throughs must be at least 1.")
        sequence_and_drain()
        now = datetime.now(UTC)
        to_at = options["to_at"] or now
        try:
            found = signals_preview(
                shop_id=shop, signals=_signals(options["set"]), from_at=options["from_at"] or to_at - RANGE, to_at=to_at,
                click_throughs=options["click_throughs"], now=now, progress=iter if options["json"] else _bar,
            )  # fmt: skip
        except FreshetError as error:
            raise CommandError(error.detail) from error
        sequence_and_drain()
        if options["json"]:
            self.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        else:
            self._report(found)

    def _report(self, found: dict[str, Any]) -> None:
        console = Console(file=cast("IO[str]", self.stdout))
        console.print(_figures(found))
        moved = [each for each in found["moved"] if each["overlap"] < 1]
        if moved:
            console.print(_moved(moved))
        console.print(
            f"{found['click_throughs']} searches from {found['from']} to {found['to']}; {len(moved)} of {found['queries']}"
            f" queries would answer otherwise now, and the mean overlap is {found['overlap']:.3f}."
        )
        console.print("This table may be set now: PUT /v1/signals.")


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _signals(given: Sequence[str]) -> dict[str, float]:
    found = {}
    for each in given:
        name, _, number = each.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise CommandError(f"--set takes NAME=NUMBER, not {each!r}.") from None
    return found


def _bar(asked: Sequence[Any]) -> Iterable[Any]:
    return tqdm(asked, unit="search", desc="asking under both", disable=not asked)


def _figures(found: dict[str, Any]) -> Table:
    table = Table(title="The product that was wanted, by the signals in force and by those proposed")
    for column in ("", "in force", "proposed", "difference", "95 % interval"):
        table.add_column(column, justify="right" if column else "left")
    for name, title in (("mrr", "MRR"), ("map_at_5", "MAP@5")):
        of = found[name]
        table.add_row(
            title, f"{of['before']:.4f}", f"{of['after']:.4f}", f"{of['difference']:+.4f}", f"{of['low']:+.4f} to {of['high']:+.4f}"
        )  # fmt: skip
    return table


def _moved(moved: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Moved most (overlap 1: the same; 0: nothing in common)")
    table.add_column("query")
    table.add_column("overlap", justify="right", no_wrap=True)
    table.add_column("entered", overflow="fold")
    table.add_column("left", overflow="fold")
    for each in moved[:SHOWN]:
        table.add_row(escape(each["query"]), f"{each['overlap']:.3f}", _some(each["entered"]), _some(each["left"]))
    return table


def _some(products: Sequence[str]) -> str:
    more = len(products) - PRODUCTS_SHOWN
    shown = escape(", ".join(products[:PRODUCTS_SHOWN]))
    return f"{shown}, {more} more" if more > 0 else shown
