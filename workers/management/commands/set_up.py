"""`manage.py set_up`: bring the database up to date and see that a first visitor finds a shop, keys and an admin user.

Each step looks first whether it is needed, so that the second run takes no time and changes nothing.
"""

from __future__ import annotations

import io
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import Tags
from django.core.management import call_command
from django.core.management.base import BaseCommand

from catalog.models import Product
from config.api.keys import principal_of
from config.env import env_bool

_SHOP_KEY = ["--scope", "search", "--scope", "events", "--scope", "catalog", "--scope", "operate"]
# it stands in the page for every visitor to read, so it is public and can only search and tell what was seen
_STOREFRONT_KEY = ["--scope", "search", "--scope", "beacon", "--public", "--origin", "*"]


class Command(BaseCommand):
    # not those of the addresses, which import every view and with them torch: gunicorn does that a moment later
    requires_system_checks: tuple[str, ...] = (Tags.security, Tags.models, Tags.database)
    help = "Migrate; on the first run also load the sample shop, make API keys and an admin user."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        self._admin_user()
        _key("local", settings.FRESHET_HOME / "api_key", _SHOP_KEY)
        _key("storefront", settings.STOREFRONT_API_KEY_FILE, _STOREFRONT_KEY)
        if env_bool("FRESHET_SAMPLE_SHOP", True) and not Product.objects.exists():
            self._sample_shop()

    def _admin_user(self) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser("admin", password=password)
        self.stdout.write(f"Admin user for /admin/: admin, password {password}")
        self.stdout.write("(shown this once; `.venv/bin/python manage.py changepassword admin` sets another)")

    def _sample_shop(self) -> None:
        self.stdout.write("The shop is empty: loading the sample shop (FRESHET_SAMPLE_SHOP=0 leaves it empty).")
        products = settings.FRESHET_HOME / "sample_shop.jsonl"
        call_command("sample_shop", "--products", str(products), stdout=self.stdout)
        call_command("import_products", str(products), stdout=self.stdout)


def _key(name: str, file: Path, arguments: list[str]) -> None:
    """Make a key unless the kept one works; another database does not know it."""
    if file.exists() and principal_of(file.read_text().strip(), now=datetime.now(UTC)):
        return
    printed = io.StringIO()
    call_command("create_api_key", "--name", name, "--replace", *arguments, stdout=printed)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(printed.getvalue().strip().splitlines()[-1] + "\n")
