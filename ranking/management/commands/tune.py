"""`manage.py tune`: search better options of training over a past range of the log, and put them in force if asked to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from eventlog.consume import checkpoint_read, sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from feedback.projections import click_throughs
from ranking.registry import model_serving
from ranking.train_options import line_options, train_options_of

_BAR = "{desc}: {percentage:3.0f}% |{bar:30}| {elapsed}<{remaining} {postfix}"


class Command(BaseCommand):
    help = "Search options of training on past click-throughs of a shop. Nothing that serves moves, but by --apply."
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--trials", type=int, default=20, help="how many the study shall have in all (20)")
        parser.add_argument("--timeout", type=float, help="seconds after which no further trial begins")
        parser.add_argument(
            "--last", type=int, help="newest click-throughs to tune on; by default five versions' worth"
        )
        parser.add_argument("--from-position", type=int, help="instead of --last: where in the log the range begins")
        parser.add_argument("--to-position", type=int, help="and where it ends; by default at its head")
        parser.add_argument(
            "--folds", type=int, default=3, help="versions that a trial trains, one after the other (3)"
        )
        parser.add_argument("--vary", action="append", metavar="OPTION", help="only this option; may be repeated")
        parser.add_argument("--storage", help="an SQLAlchemy URL instead of $FRESHET_HOME/tune/studies.sqlite3")
        parser.add_argument("--apply", action="store_true", help="put the best in force, if it gains more than noise")

    def handle(self, *args: Any, shop: int, trials: int, apply: bool, **options: Any) -> None:
        from ranking.tuning.report import report_write, summary  # these load torch
        from ranking.tuning.study import tune, tuned_apply

        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        if trials < 1 or options["folds"] < 1:
            raise CommandError("--trials and --folds are at least 1.")
        sequence_and_drain()
        asked = self._asked(shop, options)
        self.stdout.write(
            f"Study {asked.name}. To go on with it later: --from-position {asked.from_position} "
            f"--to-position {asked.to_position}"
        )
        with tqdm(total=100, unit="%", desc=f"{trials} trials", bar_format=_BAR) as bar:

            def show(share: float, said: str) -> None:
                bar.n = min(100, round(100 * share))
                bar.set_postfix_str(said)

            try:
                tuned = tune(
                    asked=asked, trials=trials, timeout_seconds=options["timeout"], storage=options["storage"],
                    progress=show,
                )  # fmt: skip
            except FreshetError as error:
                raise CommandError(error.detail) from error
        self.stdout.write(summary(tuned))
        for name, value in sorted(tuned.better.items()):
            self.stdout.write(f"  {name:<16} {asked.baseline[name]!s:>16} -> {value}")
        self.stdout.write(f"Report: {report_write(tuned) / 'report.md'}")
        if apply:
            done = tuned_apply(tuned, now=datetime.now(UTC))
            said = "In force from the next version on." if done else "Not put in force: it is not more than noise."
            self.stdout.write(said)

    def _asked(self, shop: int, options: dict[str, Any]) -> Any:
        from ranking.tuning.space import space_of
        from ranking.tuning.study import Asked, range_newest

        model = model_serving(shop_id=shop)
        in_force = line_options(model) if model else train_options_of(shop_id=shop)
        space = space_of(in_force)
        vary = options["vary"] or list(space)
        if unknown := sorted(set(vary) - space.keys()):
            raise CommandError(f"{unknown[0]!r} is not among the options that are varied: {', '.join(space)}.")
        if options["from_position"] is None:
            count = options["last"] or settings.FRESHET_TRAIN_EVERY * (options["folds"] + 2)
            start, end = range_newest(shop_id=shop, count=count)
        else:
            start, end = options["from_position"], checkpoint_read(click_throughs.name)
        return Asked(
            shop_id=shop, from_position=start, to_position=options["to_position"] or end, folds=options["folds"],
            space={name: within for name, within in space.items() if name in vary},
            in_force=in_force,
        )  # fmt: skip
