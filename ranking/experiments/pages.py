"""The admin's page of experiments: what runs and ran, and how the intervals of one closed in over time; stop it there."""

from __future__ import annotations

from typing import Any

import orjson
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.experiments.charts import charts_of
from ranking.experiments.experiment import Experiment, experiments_of
from ranking.experiments.readout import METRICS, Readout, readout
from ranking.experiments.selectors import readings_of
from ranking.experiments.services import experiment_stop


def experiments_view(request: HttpRequest) -> HttpResponse:
    """Experiments of a shop, one of them in detail: the newest, or `?id=`; `?shop=2` names the shop."""
    if not request.user.has_perm("ranking.view_modelversion"):
        raise PermissionDenied
    shop = _shop(request)
    if request.method == "POST":
        return _stop(request, shop)
    every = experiments_of(shop_id=shop.pk)
    asked = request.GET.get("id")
    chosen = next((each for each in every if asked in (None, each.id)), None)
    if asked is not None and chosen is None:
        raise Http404(f"There is no experiment {asked!r}.")
    context = admin.site.each_context(request) | {
        "title": "Experiments", "shop": shop, "shops": Shop.objects.order_by("id"), "experiments": every,
        "chosen": chosen, "may_stop": request.user.has_perm("ranking.change_modelversion"),
        **(_detail(chosen) if chosen else {}),
    }  # fmt: skip
    return TemplateResponse(request, "ranking/admin/experiments.html", context)


def _shop(request: HttpRequest) -> Shop:
    asked = request.GET.get("shop", str(DEFAULT_SHOP_ID))
    shop = next((each for each in Shop.objects.all() if str(each.pk) == asked), None)
    if shop is None:
        raise Http404(f"There is no shop {asked!r}.")
    return shop


def _stop(request: HttpRequest, shop: Shop) -> HttpResponse:
    if not request.user.has_perm("ranking.change_modelversion"):
        raise PermissionDenied
    id_ = request.POST.get("stop", "")
    try:
        experiment_stop(shop_id=shop.pk, id_=id_, detail=f"stopped by {request.user}", now=timezone.now())
        messages.success(request, f"{id_} is being stopped: no new answer counts within two seconds.")
    except FreshetError as error:
        messages.error(request, f"Nothing was stopped. {error.detail}")
    return HttpResponseRedirect(f"{reverse('experiments')}?shop={shop.pk}")


def _detail(experiment: Experiment) -> dict[str, Any]:
    now = readout(experiment)
    charts = charts_of(experiment, readings_of(experiment))
    return {
        "charts": [{"title": each.title, "about": each.about, "data": orjson.dumps(each.data).decode(),
                    "options": orjson.dumps(each.options).decode()} for each in charts],
        "sides": {"headers": ["Variant", "Settings", "Share", "Shoppers", "Requests", *METRICS],
                  "rows": _sides(experiment, now)},
        "compared": {"headers": ["Variant", "Metric", "Difference", "From", "To", "Verdict"], "rows": _compared(now)},
    }  # fmt: skip


def _sides(experiment: Experiment, now: Readout) -> list[list[Any]]:
    of = {variant.name: variant for variant in experiment.variants}
    return [
        [side.variant, orjson.dumps(of[side.variant].settings).decode() if side.variant in of else "–",
         f"{of[side.variant].share:.0%}" if side.variant in of else "–", f"{side.shoppers:,}", f"{side.requests:,}",
         *(f"{side.figures[metric]:.4g}" for metric in METRICS)]
        for side in now.variants
    ]  # fmt: skip


def _compared(now: Readout) -> list[list[Any]]:
    found = [
        [each.variant, each.metric, each.difference, each.low, each.high, each.verdict] for each in now.comparisons
    ]
    if now.preference:
        each = now.preference
        found.append(["second against first", "preference", each.preference, each.low, each.high, each.verdict])
    return [[*row[:2], *("–" if each is None else f"{each:+.4g}" for each in row[2:5]), row[5]] for row in found]
