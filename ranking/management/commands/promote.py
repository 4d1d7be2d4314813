"""`manage.py promote VERSION`: let a model version serve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.consume import sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID
from ranking.registry import model_promote


class Command(BaseCommand):
    help = "Let a model version serve. Every process has it within 2 seconds."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("version", metavar="VERSION", help='such as "1.3"; GET /v1/models lists them')
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")

    def handle(self, *args: Any, version: str, shop: int, **options: Any) -> None:
        sequence_and_drain()
        try:
            model_promote(shop_id=shop, version=version, reason="promoted by an operator", now=datetime.now(UTC))
        except FreshetError as error:
            raise CommandError(error.detail) from error
        sequence_and_drain()
        self.stdout.write(f"{version} serves.")
