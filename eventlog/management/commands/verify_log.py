from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventlog.database import snapshot
from eventlog.selectors import last_position, pending_count
from eventlog.verify import verify


class Command(BaseCommand):
    help = "Check the log: positions without holes, nothing lost, nothing twice, streams in order. Exit code 1 if not."

    def handle(self, *args: Any, **options: Any) -> None:
        with snapshot():  # so that writers at work do not look like damage
            findings = verify()
            self.stdout.write(f"{last_position()} events sequenced, {pending_count()} waiting")
        for finding in findings:
            mark = "ok" if not finding.broken else f"BROKEN {finding.broken} times"
            self.stdout.write(f"  {mark:>16}  {finding.promise}")
        if any(finding.broken for finding in findings):
            raise CommandError(
                "the log is damaged: stop the workers, keep the disk, restore from a backup", returncode=1
            )
