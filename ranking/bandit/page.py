"""The admin's page of strategies: what is believed of each arm, as bars from end to end of its interval (pure but for reads)."""

from __future__ import annotations

from typing import Any

import orjson
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.bandit.selectors import strategies_answer

_COLOURS = ("#2563eb", "#16a34a", "#d97706", "#dc2626", "#7c3aed", "#0891b2", "#94a3b8")


def strategies_view(request: HttpRequest) -> HttpResponse:
    """The surfaces of a shop; `?shop=2` names the shop."""
    if not request.user.has_perm("ranking.view_modelversion"):
        raise PermissionDenied
    asked = request.GET.get("shop", str(DEFAULT_SHOP_ID))
    shops = list(Shop.objects.order_by("id"))
    shop = next((each for each in shops if str(each.pk) == asked), None)
    if shop is None:
        raise Http404(f"There is no shop {asked!r}.")
    found = strategies_answer(shop_id=shop.pk)
    context = admin.site.each_context(request) | {
        "title": "Strategies", "shop": shop, "shops": shops, "surfaces": [_shown(each) for each in found["surfaces"]],
    }  # fmt: skip
    return TemplateResponse(request, "ranking/admin/strategies.html", context)


def _shown(surface: dict[str, Any]) -> dict[str, Any]:
    chosen = f"always {surface['fixed']}" if surface["fixed"] else f"the bandit, exploring {surface['explore']:.0%}"
    return surface | {"chosen": chosen, "charts": charts_of(surface)}


def charts_of(surface: dict[str, Any]) -> list[dict[str, str]]:
    """Two charts where something was shown: the rewards believed, and the propensities."""
    if not surface["segments"]:
        return []
    rewards = _bars(surface, lambda arm: [arm["low"], arm["high"]], {})
    shown = _bars(surface, lambda arm: arm["propensity"], {"min": 0, "max": 1})
    return [
        {"title": "Reward a trial", "about": "From end to end of what 95 % is believed to lie in.", **rewards},
        {"title": "How likely each is shown", "about": "To the next shopper of a segment.", **shown},
    ]


def _bars(surface: dict[str, Any], value: Any, scale: dict[str, int]) -> dict[str, str]:
    """A group of bars a segment, a colour an arm, as Chart.js takes them."""
    arms = [arm["arm"] for arm in surface["segments"][0]["arms"]]
    sets = [
        {"label": arm, "backgroundColor": _COLOURS[n % len(_COLOURS)],
         "data": [value(segment["arms"][n]) for segment in surface["segments"]]}
        for n, arm in enumerate(arms)
    ]  # fmt: skip
    data = {"labels": [segment["segment"] for segment in surface["segments"]], "datasets": sets}
    options = {"plugins": {"legend": {"display": True}}, "scales": {"y": {"display": True, **scale}}}
    return {"data": orjson.dumps(data).decode(), "options": orjson.dumps(options).decode()}
