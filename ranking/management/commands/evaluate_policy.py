"""`manage.py evaluate_policy`: what a way of choosing among arms would have earned, by what was logged."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from eventlog.consume import sequence_and_drain
from eventlog.database import scalar
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from eventlog.selectors import last_position
from ranking.bandit.policies import policy_of
from ranking.bandit.selectors import arms_known
from ranking.bandit.state import state_read
from ranking.policy_evaluation import Evaluation, evaluate, units_read
from ranking.strategies.mixes import SURFACES, Surface

NAMES = {"ips": "IPS", "snips": "SNIPS", "dr": "doubly robust"}
_POSITION_AT = """
SELECT coalesce(min(p.position) - 1, (SELECT last FROM eventlog_sequencer))
  FROM eventlog_position p JOIN eventlog_event e ON e.id = p.event_id WHERE e.recorded_at >= %s"""


class Command(BaseCommand):
    help = "Estimate from the log what a policy would earn: IPS, SNIPS, doubly robust, with 95 % intervals."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--surface", choices=SURFACES, required=True)
        parser.add_argument("--policy", required=True, help="an arm, uniform, bandit, or explore=0.1")
        parser.add_argument(
            "--from", dest="start", metavar="WHEN", help="a position of the log or a date; its beginning"
        )
        parser.add_argument("--to", dest="end", metavar="WHEN", help="a position of the log or a date; its end")
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *args: Any, shop: int, surface: Surface, policy: str, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        sequence_and_drain()
        after, to = _position(options["start"], 0), _position(options["end"], last_position())
        if after >= to:
            raise CommandError(
                f"There is nothing from {options['start'] or 'the beginning'} to {options['end'] or 'now'}."
            )
        state = state_read(shop)
        arms = arms_known(state, shop_id=shop, surface=surface)
        try:
            chosen = policy_of(policy, surface=surface, arms=arms, setting=state.setting(surface))
        except FreshetError as error:
            raise CommandError(error.detail) from error
        units = units_read(shop_id=shop, surface=surface, after=after, to=to)
        found = evaluate(units, chosen)
        if options["json"]:
            asked = {"surface": surface, "policy": policy, "from_position": after, "to_position": to}
            self.stdout.write(json.dumps(asked | found.as_dict()))
        else:
            self._show(found, f"{policy} on {surface}, positions {after + 1:,} to {to:,}")
        if found.refusal is not None:
            self.stderr.write(f"Not to be relied on: {found.refusal}.")
            sys.exit(3)

    def _show(self, found: Evaluation, title: str) -> None:
        table = Table(title=title, title_justify="left")
        for column in ("reward a trial", "estimate", "95 % from", "to", "against what was logged", "95 % from", "to"):
            table.add_column(column, justify="left" if column == "reward a trial" else "right")
        logged = found.logged
        table.add_row("logged", *(f"{value:.5f}" for value in (logged.value, logged.low, logged.high)), "", "", "")
        for name, each in found.estimates.items():
            by = found.differences[name]
            values = (f"{value:.5f}" for value in (each.value, each.low, each.high))
            table.add_row(NAMES[name], *values, *(f"{value:+.5f}" for value in (by.difference, by.low, by.high)))
        console = Console(file=cast("IO[str]", self.stdout), width=None if sys.stdout.isatty() else 120)
        console.print(table)
        console.print(
            f"{found.units:,} trials chosen by chance, {found.rewarded:,} rewarded; they say as much of this policy as "
            f"{found.ess:,.0f} of its own ({found.rewarded_ess:,.0f} rewarded). Mean weight {found.mean_weight:.3f}. "
            f"{found.without_chance:,} chosen without chance are left out."
        )


def _position(given: str | None, otherwise: int) -> int:
    """A position as such; the last one before a date."""
    if given is None:
        return otherwise
    if given.isascii() and given.isdigit():
        return min(int(given), last_position())
    try:
        at = datetime.fromisoformat(given)
    except ValueError as error:
        raise CommandError(
            f"{given!r} is neither a position nor a date such as 2026-11-23 or 2026-11-23T10:00Z."
        ) from error
    return int(scalar(_POSITION_AT, [at if at.tzinfo else at.replace(tzinfo=UTC)]))
