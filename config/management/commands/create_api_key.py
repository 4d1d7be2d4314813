"""`manage.py create_api_key --name N --scope S`: makes a key and prints it, alone on the last line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from config.api.keys import api_key_create, api_keys_revoke
from config.models import SCOPES, ApiKey
from eventlog.errors import FreshetError
from eventlog.models import Shop


class Command(BaseCommand):
    help = "Make an API key and print it, this once; only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument("--scope", action="append", required=True, choices=SCOPES, help="may be repeated")
        parser.add_argument("--shop", default="default")
        parser.add_argument("--public", action="store_true", help="it stands in a web page (a beacon key always is)")
        parser.add_argument("--origin", action="append", default=[], help="https://shop.example, or *; may be repeated")
        parser.add_argument("--rate", help="requests a period, such as 20/s (a public key: for each visitor)")
        parser.add_argument("--replace", action="store_true", help="revoke the keys that have this name now")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        shop = Shop.objects.filter(name=options["shop"]).first()
        if shop is None:
            raise CommandError(f"There is no shop {options['shop']!r}.")
        if options["replace"]:
            old = ApiKey.objects.filter(shop=shop, name=options["name"], revoked_at=None)
            if revoked := api_keys_revoke(keys=list(old), now=datetime.now(UTC)):
                self.stdout.write(f"Revoked {revoked} older key(s) of this name.")
        try:
            text, key = api_key_create(
                shop=shop,
                name=options["name"],
                scopes=options["scope"],
                public=options["public"],
                allowed_origins=options["origin"],
                rate=options["rate"],
            )
        except FreshetError as error:
            raise CommandError(error.detail) from None
        self.stdout.write(f"{key.name} for shop {shop.name}: {', '.join(key.scopes)}{', public' if key.public else ''}")
        if key.public and "search" in key.scopes:
            self.stdout.write(f"Sign shopper ids on your server (HMAC-SHA256, hex) with: {key.signing_secret}")
        self.stdout.write(text)
