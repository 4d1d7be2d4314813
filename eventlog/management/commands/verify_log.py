from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventlog.archives import everything_attached
from eventlog.database import snapshot
from eventlog.errors import FreshetError
from eventlog.selectors import last_position, pending_count
from eventlog.verify import verify


class Command(BaseCommand):
    help = (
        "Check the log, archived files included: positions without holes, nothing lost, nothing twice, streams in order."
        " Exit code 1 if not."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with everything_attached() as sources, snapshot():  # so that writers at work do not look like damage
                findings = verify(sources)
                self.stdout.write(f"{last_position()} events sequenced, {pending_count()} waiting")
        except FreshetError as error:
            raise CommandError(error.detail, returncode=1) from error
        for finding in findings:
            mark = "ok" if not finding.broken else f"BROKEN {finding.broken} times"
            self.stdout.write(f"  {mark:>16}  {finding.promise}")
        if any(finding.broken for finding in findings):
            raise CommandError(
                "the log is damaged: stop the workers, keep the disk, restore from a backup", returncode=1
            )
