from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from eventlog.catalogue import event_catalogue


class Command(BaseCommand):
    help = "Print the page docs/event-catalogue.md from the code."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(event_catalogue(), ending="")
