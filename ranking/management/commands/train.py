"""`manage.py train`: train model versions now, in this process, with a progress bar and the gate's figures."""

from __future__ import annotations

from datetime import UTC, datetime
from time import sleep
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from eventlog.consume import checkpoint_read, sequence_and_drain
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.cadence import cadence_read
from ranking.learning.ranges import needed
from ranking.major_training import major_train
from ranking.privacy import BudgetSpent
from ranking.registry import ModelVersion, model_awaited, model_in_shadow, model_serving
from ranking.retraining import retrain_without_erased, touched_read
from ranking.selectors import shadow_answer
from ranking.shadow import shadow_judge
from ranking.supervised import supervised_train
from ranking.training import (
    LEAST_EVERY,
    Outcome,
    Pace,
    clicked_count,
    consumer,
    every_of,
    pace_of,
    shop_train,
    train_every,
)
from ranking.vector_state import rollout_read


class Command(BaseCommand):
    help = "Train a minor version from the click-throughs that closed since the last one, as the worker does every 5 s."
    requires_system_checks = ()  # they import every address and with them the language model: seconds

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--shop", type=int, default=DEFAULT_SHOP_ID, help="id of the shop, 1 by default")
        parser.add_argument("--now", action="store_true", help="with what there is, even if it is less than usual")
        parser.add_argument("--all", action="store_true", help="version after version, until too little is left")
        parser.add_argument("--supervised", action="store_true", help="from the judgement list, instead of feedback")
        parser.add_argument(
            "--pretrain", action="store_true", help="with --supervised: learn the language of the descriptions first"
        )
        parser.add_argument("--major", action="store_true", help="both towers: every product is embedded anew")
        parser.add_argument("--processes", type=int, default=1, help="with --major: on so many GPUs, or CPU processes")
        parser.add_argument(
            "--without-erased", action="store_true",
            help="replace what learned from erased shoppers by a version that did not; with --major if both towers learned",
        )  # fmt: skip
        parser.add_argument("--detach", action="store_true", help="with --major: leave what follows to the workers")

    def handle(self, *args: Any, shop: int, now: bool, **options: Any) -> None:
        if not Shop.objects.filter(id=shop).exists():
            raise CommandError(f"There is no shop {shop}.")
        sequence_and_drain()
        if options["pretrain"] and not options["supervised"]:
            raise CommandError("--pretrain goes with --supervised: without judgements nothing could judge it.")
        if options["supervised"]:
            self._supervised(shop, pretrain=options["pretrain"])
            return
        if options["major"]:
            self._major(
                shop, processes=options["processes"], detach=options["detach"], without_erased=options["without_erased"]
            )
            return
        if options["without_erased"]:
            self._without_erased(shop)
            return
        trained = self._train(shop, now=now)
        while trained and options["all"]:
            trained = self._train(shop, now=now)

    def _train(self, shop: int, *, now: bool) -> bool:
        if (shadow := model_in_shadow(shop_id=shop)) is not None:
            return self._shadow(shadow)
        clock, cadence, after = datetime.now(UTC), cadence_read(shop_id=shop), checkpoint_read(consumer(shop))
        if not now and not cadence.is_due(clock):
            since = "." if cadence.learning == "frozen" else ", and a version was trained in the last 24 hours."
            self.stdout.write(f"Nothing trained: learning is {cadence.learning}{since} --now trains one all the same.")
            return False
        waiting = clicked_count(shop_id=shop, after_position=after)
        pace = pace_of(cadence, shop_id=shop, after=after)
        if now:
            every = min(train_every(after), max(LEAST_EVERY, every_of(waiting)))
            pace = Pace(every, needed(every))
        if waiting < pace.wanted:
            self.stdout.write(
                f"Nothing trained: {waiting} click-throughs with an outcome wait, {pace.wanted} are needed."
            )
            return False
        with tqdm(total=100, unit="%", desc=f"training on {pace.every} click-throughs", bar_format=_BAR) as bar:
            try:
                outcome = shop_train(
                    shop_id=shop, now=clock, every=pace.every if now else None, progress=lambda share: _show(bar, share)
                )
            except BudgetSpent as error:
                raise CommandError(f"{error.detail}. docs/how-to/privacy.md says what can be done.") from error
        if outcome is None:
            self.stdout.write("Nothing trained: products wait for their vectors, or another trainer was faster.")
            return False
        self._report(outcome)
        return True

    def _shadow(self, shadow: ModelVersion) -> bool:
        outcome = shadow_judge(shadow=shadow, now=datetime.now(UTC))
        if outcome is None:
            so_far = shadow_answer(shadow)
            self.stdout.write(
                f"Nothing trained: {shadow.version} is in shadow, {so_far['closed']} of {so_far['click_throughs']} later "
                "click-throughs have closed."
            )
            return False
        self._report(outcome)
        return True

    def _supervised(self, shop: int, *, pretrain: bool) -> None:
        with tqdm(total=100, unit="%", desc="training on the judgement list", bar_format=_BAR) as bar:
            try:
                outcome = supervised_train(
                    shop_id=shop, now=datetime.now(UTC), pretrain=pretrain, progress=lambda share: _show(bar, share)
                )
            except FreshetError as error:
                raise CommandError(error.detail) from error
        if outcome is None:
            self.stdout.write("Nothing trained: another trainer was faster.")
            return
        self._report(outcome)

    def _without_erased(self, shop: int) -> None:
        try:
            touched = touched_read(shop_id=shop, now=datetime.now(UTC))
            learned = ", ".join(each.version for each in touched.all)
            self.stdout.write(
                f"{learned} learned from shoppers who were erased; trained again from {touched.ancestor.version}."
            )
            with tqdm(total=100, unit="%", desc="training without them", bar_format=_BAR) as bar:
                outcome = retrain_without_erased(
                    shop_id=shop, now=datetime.now(UTC), progress=lambda share: _show(bar, share)
                )
        except FreshetError as error:
            raise CommandError(error.detail) from error
        if outcome is None:
            self.stdout.write("Nothing trained: another trainer was faster.")
            return
        self._report(outcome)

    def _major(self, shop: int, *, processes: int, detach: bool, without_erased: bool) -> None:
        if model_awaited(shop_id=shop) is None:  # else an earlier call was cut off, and this one goes on
            with tqdm(total=100, unit="%", desc="training both towers", bar_format=_BAR) as bar:
                try:
                    outcome = major_train(
                        shop_id=shop, now=datetime.now(UTC), processes=processes, without_erased=without_erased,
                        progress=lambda share: _show(bar, share),
                    )  # fmt: skip
                except (FreshetError, ValueError) as error:
                    raise CommandError(str(error)) from error
            if outcome is None:
                self.stdout.write("Nothing trained: another trainer was faster.")
                return
            self._report(outcome)
        awaited = model_awaited(shop_id=shop)
        if awaited and not detach:
            self._roll_out(awaited)

    def _roll_out(self, awaited: ModelVersion) -> None:
        """Wait until a major version serves, and take part in the work beside the workers."""
        from ranking.rollout import rollout_advance, rollout_embed  # loads torch

        shop, version = awaited.shop_id, awaited.version
        with tqdm(total=100, unit="%", bar_format=_BAR) as bar:
            while (state := rollout_read(shop_id=shop)) and state.version == version:
                bar.set_description_str(f"{version}: {state.state}", refresh=False)
                _show(bar, 0.9 * state.embedded + 0.1 * state.related)
                moved = rollout_embed(shop_id=shop, now=datetime.now(UTC), seconds=1.0)
                if not rollout_advance(shop_id=shop, now=datetime.now(UTC)) and not moved:
                    sleep(0.5)  # the workers are at it
        serving = model_serving(shop_id=shop)
        if serving is None or serving.version != version:
            raise CommandError(f"{version} was given up: {serving.version if serving else 'nothing'} was promoted.")
        self.stdout.write(f"{version} serves.")

    def _report(self, outcome: Outcome) -> None:
        said = "serves" if outcome.promoted else "does not serve"
        self.stdout.write(f"{outcome.version} {said}: {outcome.reason}.")
        metrics, gate = outcome.metrics, outcome.metrics["gate"]
        if "steps" in metrics:
            self.stdout.write(
                f"  {metrics['examples']} examples, {metrics['steps']} steps, loss {_number(metrics['loss_first'])} to "
                f"{_number(metrics['loss_last'])}"
            )
        if "noise" in metrics:
            self.stdout.write(f"  at ε {metrics['epsilon']:g} a shopper, of {metrics['shoppers']} shoppers")
        self.stdout.write(
            f"  judged on the newest {gate['click_throughs']} click-throughs and {gate['judged_queries']} judged queries:"
        )
        if gate["judged_queries"]:
            before, after = gate["serving_list"], gate["candidate_list"]
            self.stdout.write(f"  nDCG@10 on the judgement list {_number(before)} -> {_number(after)}")
        self._sides(gate["serving"], gate["candidate"])
        if gate["past_click_throughs"]:
            self.stdout.write(f"  on {gate['past_click_throughs']} from before its range, by which forgetting shows:")
            self._sides(gate["serving_past"], gate["candidate_past"])
        for name, what in _MOVED.items():
            if gate.get(name) is not None:
                self.stdout.write(f"  {what} {_number(gate[name])}")
        clicks = gate.get("counterfactual", {}).get("dr")
        if clicks:
            between = f"{_number(clicks['low'])} to {_number(clicks['high'])}"
            self.stdout.write(
                f"  clicks a page, estimated {_number(clicks['serving'])} -> {_number(clicks['candidate'])} ({between})"
            )

    def _sides(self, before: dict[str, float | None], after: dict[str, float | None]) -> None:
        for name, value in before.items():
            if value is not None:
                self.stdout.write(f"  {name:<9} {_number(value)} -> {_number(after[name])}")


_MOVED = {
    "overlap": "overlap of first pages with those of what served",
    "day_overlap": "and with those of what served a day before",
}
_BAR = "{desc}: {percentage:3.0f}% |{bar:30}| {elapsed}<{remaining}"


def _show(bar: tqdm[Any], share: float) -> None:
    bar.n = round(100 * share)
    bar.refresh()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
