"""`manage.py train_options`: what a shop's versions are trained with, and how to change it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventlog.consume import sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.learning.options import DEFAULTS
from ranking.train_options import train_options_chosen, train_options_of, train_options_set


class Command(BaseCommand):
    help = "Show the options that a shop's next version is trained with, or set some of them."
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("options", nargs="*", metavar="NAME=VALUE", help="options to set, beside those set before")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--reset", action="store_true", help="forget what was set before: back to the defaults")

    def handle(self, *args: Any, options: list[str], shop: int, reset: bool, **others: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        sequence_and_drain()
        chosen = {} if reset else train_options_chosen(shop_id=shop)
        if options or reset:
            chosen |= dict(_option(given) for given in options)
            try:
                train_options_set(shop_id=shop, options=chosen, reason="set by hand", now=datetime.now(UTC))
            except FreshetError as error:
                raise CommandError(f"{error.field}: {error.detail}" if error.field else error.detail) from error
        for name, value in asdict(train_options_of(shop_id=shop)).items():
            default = getattr(DEFAULTS, name)
            self.stdout.write(f"{name:<22} {value!s:<18}" + (f" (default {default})" if name in chosen else ""))


def _option(given: str) -> tuple[str, Any]:
    """`learning_rate=0.001`: a value is JSON, and a word where it is none."""
    name, found, value = given.partition("=")
    if not found:
        raise CommandError(f"{given!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
