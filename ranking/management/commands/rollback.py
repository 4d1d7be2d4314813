"""`manage.py rollback`: let the version serve again that served before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.consume import sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID
from ranking.registry import model_rollback


class Command(BaseCommand):
    help = "Let the version serve again that served before; repeated, it walks back to the first one."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")

    def handle(self, *args: Any, shop: int, **options: Any) -> None:
        sequence_and_drain()
        try:
            version = model_rollback(shop_id=shop, now=datetime.now(UTC))
        except FreshetError as error:
            raise CommandError(error.detail) from error
        sequence_and_drain()
        self.stdout.write(f"{version} serves.")
