from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.erasure import Learned, shopper_erase_and_tell


class Command(BaseCommand):
    help = "Erase a shopper: destroy key and mapping, so that no event can be linked any more. Cannot be undone."
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("shopper_id", metavar="SHOPPER_ID", help="the shop's own id, as in events")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")

    def handle(self, *args: Any, shopper_id: str, shop: int, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        try:
            erasure, learned = shopper_erase_and_tell(shop_id=shop, shopper_id=shopper_id, now=datetime.now(UTC))
        except FreshetError as error:
            raise CommandError(error.detail) from error
        if not erasure.known:
            self.stdout.write("Nobody of this id is known, or any more: nothing to erase.")
            return
        self.stdout.write("Erased. The worker takes the shopper from the read models.")
        self._tell(learned)
        self.stdout.write(f"Receipt: {erasure.receipt}")

    def _tell(self, learned: Learned) -> None:
        if not learned.trained:
            self.stdout.write("No model version was trained on this shopper's click-throughs.")
            return
        counts = ", ".join(f"{version} ({count})" for version, count in learned.trained.items())
        self.stdout.write(f"Model versions trained on click-throughs of this shopper: {counts}.")
        if learned.descended:
            self.stdout.write(f"Versions that go on from those: {', '.join(learned.descended)}.")
