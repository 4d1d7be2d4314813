"""`manage.py down`: stop a Freshet that runs elsewhere, or what a crash left behind."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from workers.supervision.up import stop_everything


class Command(BaseCommand):
    help = "Stop everything that `manage.py up` started from this folder."
    requires_system_checks: tuple[str, ...] = ()

    def handle(self, *args: Any, **options: Any) -> None:
        ended = stop_everything(home=settings.FRESHET_HOME)
        self.stdout.write(f"Stopped: {', '.join(ended)}." if ended else "Nothing was running.")
