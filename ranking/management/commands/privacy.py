"""`manage.py privacy`: what a shop's model versions may tell of a shopper, and the ledger of what they have told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.consume import sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.privacy import Ledger, ledger_read, privacy_of, privacy_set


class Command(BaseCommand):
    help = (
        "Show what model versions may tell of a shopper, and what was spent; set it by --epsilon, or end it by --off."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--epsilon", type=float, help="what one version may tell of a shopper, at most")
        parser.add_argument("--delta", type=float, help="the chance that it tells more")
        parser.add_argument("--budget", type=float, help="what all versions together may tell")
        parser.add_argument(
            "--off", action="store_true", help="train without noise from now on; what was spent stays spent"
        )

    def handle(self, *args: Any, shop: int, off: bool, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        sequence_and_drain()
        given = {name: options[name] for name in ("epsilon", "delta", "budget") if options[name] is not None}
        if off and given:
            raise CommandError("--off takes no other choice.")
        if off or given:
            chosen = replace(privacy_of(shop), **({"epsilon": None} if off else given))
            try:
                privacy_set(shop_id=shop, privacy=chosen, now=datetime.now(UTC))
            except FreshetError as error:
                raise CommandError(error.detail) from error
            sequence_and_drain()
        self._show(ledger_read(shop_id=shop))

    def _show(self, ledger: Ledger) -> None:
        asked = ledger.privacy
        if asked.epsilon is None:
            self.stdout.write("Versions are trained without privacy noise.")
        else:
            self.stdout.write(
                f"A version may tell ε {asked.epsilon:g} of a shopper, all together {asked.budget:g}, at δ {asked.delta:g}."
            )
        for each in ledger.spent:
            self.stdout.write(f"  {each.version:<7} {each.state:<9} ε {each.epsilon:<5g} together {each.total:.3f}")
        if ledger.bare:
            self.stdout.write(
                f"Trained on click-throughs without noise, and covered by nothing: {', '.join(ledger.bare)}."
            )
        if ledger.refusal:
            self.stdout.write(f"No further version is trained: {ledger.refusal}.")
