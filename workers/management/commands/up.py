"""`manage.py up`: the whole of Freshet in the foreground."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workers.supervision.up import CannotStart, run_everything


class Command(BaseCommand):
    help = "Start the embedded servers, migrate, load the sample shop once, run the Procfile; Ctrl-C stops it all."
    requires_system_checks: tuple[str, ...] = ()  # there is no database yet; `set_up` checks

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run_everything(home=settings.FRESHET_HOME, port=settings.PORT)
        except CannotStart as error:
            raise CommandError(str(error)) from None
