"""`manage.py learning [live|daily|frozen]`: say how often a shop makes model versions by itself, or show it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.consume import sequence_and_drain
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.cadence import LEARNINGS, learning_set
from ranking.selectors import learning_answer

_SAID = {
    "live": "live: a version whenever enough click-throughs have closed",
    "daily": "daily: a version a day at most",
    "frozen": "frozen: no version by itself; train --now makes one all the same",
}


class Command(BaseCommand):
    help = "Set how often a shop makes model versions by itself; without an argument, show what is in force."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("learning", nargs="?", choices=LEARNINGS, help="live, daily or frozen")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")

    def handle(self, *args: Any, learning: str | None, shop: int, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if learning is not None:
            learning_set(shop_id=shop, learning=learning, now=datetime.now(UTC))
        sequence_and_drain()
        now = learning_answer(shop_id=shop)
        self.stdout.write(f"{_SAID[now['learning']]}.")
        if now["learning"] != "frozen":
            self.stdout.write(f"{now['waiting']} click-throughs with an outcome wait, {now['wanted']} are wanted.")
        if now["slowdown"] > 1:
            self.stdout.write(
                f"The gate refused {now['refused_in_a_row']} versions in a row: {now['slowdown']} times the usual are wanted."
            )
        if shadow := now["shadow"]:
            self.stdout.write(
                f"{shadow['version']} is in shadow: {shadow['closed']} of {shadow['click_throughs']} later click-throughs "
                "have closed."
            )
