"""`manage.py learn_mix`: learn how strategies are mixed best on a surface, as the worker does hourly, and show the result."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, Any, cast

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from eventlog.consume import sequence_and_drain
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.mix_learning import LEAST_CASES, Learned, mix_learn
from ranking.strategies.mixes import SURFACES


class Command(BaseCommand):
    help = "Learn a mix of recommendation strategies from what shoppers took; it is shown from then on if it is better."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--surface", choices=SURFACES, default="home", help="home by default")
        parser.add_argument("--seed", type=int, default=0, help="which visits are sampled")
        parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")

    def handle(self, *args: Any, shop: int, surface: Any, seed: int, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        sequence_and_drain()
        with tqdm(desc="walking visits", unit="visit") as bar:

            def progress(done: int) -> None:
                bar.update(done - bar.n)

            learned = mix_learn(shop_id=shop, surface=surface, now=datetime.now(UTC), seed=seed, progress=progress)
        sequence_and_drain()
        if learned is None:
            raise CommandError(
                f"Too few visits by known shoppers: {LEAST_CASES} are wanted. Send events with shopper_id or session_id."
            )
        self._report(learned)
        if options["json"]:
            self.stdout.write(orjson.dumps({**learned.figures, "accepted": learned.accepted}).decode())

    def _report(self, learned: Learned) -> None:
        table = Table(title="what each strategy counts")
        table.add_column("strategy")
        table.add_column("coefficient", justify="right")
        for name, value in learned.mix.coefficients.items():
            table.add_row(name, f"{value:.3f}")
        console = Console(file=cast("IO[str]", self.stdout), width=100)
        console.print(table)
        figures = learned.figures
        console.print(
            f"MRR@10 on the {figures['judged']} newest cases: {figures['before']:.4f} before, {figures['after']:.4f} after"
            f" ({figures['gain']:+.4f} ± {figures['error']:.4f}): "
            + ("in force" if learned.accepted else "not in force")
        )
