from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID


class Command(BaseCommand):
    help = "Make an old answer again from its ranking token: its items, scored as of the positions it was made from."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("token", metavar="TOKEN")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID)

    def handle(self, *args: Any, token: str, shop: int, **options: Any) -> None:
        from ranking.versions import ranking_again

        try:
            answer = ranking_again(shop_id=shop, token=token)
        except FreshetError as error:
            raise CommandError(error.detail) from error
        ranking = answer["ranking"]
        self.stdout.write(f"version {ranking['version']}, as of position {ranking['as_of_position']}")
        self.stdout.write(f"{'rank':>4}  {'score':>10}  {'relevance':>9}  {'weight':>9}  product")
        for item in answer["items"]:
            numbers = f"{item['rank']:>4}  {item['score']:>10.6f}  {item['relevance']:>9.6f}  {item['weight']:>9.6f}"
            self.stdout.write(f"{numbers}  {item['product_id']}  {item['title'][:60]}")
