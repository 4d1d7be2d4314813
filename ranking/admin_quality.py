"""The page that shows how good a shop's model versions were, one after the other."""

from __future__ import annotations

from typing import Any

import orjson
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.quality import charts_of, tiles_of
from ranking.registry import ModelVersion, model_versions

LISTED = 15


def quality_view(request: HttpRequest) -> HttpResponse:
    """Charts of a shop's versions, its newest in a table; `?shop=2` names the shop."""
    if not request.user.has_perm("ranking.view_modelversion"):
        raise PermissionDenied
    asked = request.GET.get("shop", str(DEFAULT_SHOP_ID))
    shops = list(Shop.objects.order_by("id"))
    shop = next((each for each in shops if str(each.pk) == asked), None)
    if shop is None:
        raise Http404(f"There is no shop {asked!r}.")
    versions = model_versions(shop_id=shop.pk)
    charts = [{"title": each.title, "about": each.about, "data": orjson.dumps(each.data).decode(),
               "options": orjson.dumps(each.options).decode()} for each in charts_of(versions)]  # fmt: skip
    context = admin.site.each_context(request) | {
        "title": "How the model does", "shop": shop, "shops": shops, "charts": charts, "tiles": tiles_of(versions),
        "table": {"headers": _HEADERS, "rows": [_row(version) for version in versions[:LISTED]]},
    }  # fmt: skip
    return TemplateResponse(request, "ranking/admin/quality.html", context)


_HEADERS = ["Version", "State", "From", "Trained on", "MRR", "Overlap", "Seconds", "Reason"]


def _row(version: ModelVersion) -> list[Any]:
    gate = version.metrics.get("gate", {})
    before, after = (gate.get(side, {}).get("mrr") for side in ("serving", "candidate"))
    changed = "–" if before is None or after is None else f"{before:.3f} → {after:.3f}"
    overlap, seconds = gate.get("overlap"), version.metrics.get("seconds")
    return [
        version.version, version.state, version.parent or "–", version.metrics.get("click_throughs", "–"), changed,
        "–" if overlap is None else f"{overlap:.2f}", "–" if seconds is None else f"{seconds:.0f}", version.reason or "–",
    ]  # fmt: skip
