"""The page where operators see what counts in a shop, ask what other signals would have changed, and set them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.previewing.service import BY_REST, RANGE, signals_preview
from ranking.signal_setting import BOUNDS, BadSignals, signals_answer, signals_set
from ranking.signals import NAMES


def signals_view(request: HttpRequest) -> HttpResponse:
    """A shop's table of signals; `?shop=2` names the shop. Whoever may change model versions may change it."""
    if not request.user.has_perm("ranking.view_modelversion"):
        raise PermissionDenied
    asked = request.GET.get("shop", str(DEFAULT_SHOP_ID))
    shop = next((each for each in Shop.objects.order_by("id") if str(each.pk) == asked), None)
    if shop is None:
        raise Http404(f"There is no shop {asked!r}.")
    previewed: dict[str, Any] | None = None
    if request.method == "POST":
        if not request.user.has_perm("ranking.change_modelversion"):
            raise PermissionDenied
        try:
            if "set" in request.POST:
                return _set(request, shop.pk)
            previewed = _preview(request, shop.pk)
        except FreshetError as error:
            messages.error(request, f"Nothing was set. {error.detail}")
    answer = signals_answer(shop_id=shop.pk)
    context = admin.site.each_context(request) | {
        "title": "What counts: signals", "shop": shop, "answer": answer, "previewed": previewed,
        "rows": [_row(name, answer, request.POST.get(name)) for name in NAMES],
        "reason": request.POST.get("reason", ""),
    }  # fmt: skip
    return TemplateResponse(request, "ranking/admin/signals.html", context)


def _row(name: str, answer: dict[str, Any], typed: str | None) -> dict[str, Any]:
    low, high = BOUNDS[name]
    return {"name": name, "value": typed or f"{answer['signals'][name]:g}", "in_force": answer["signals"][name],
            "default": answer["defaults"][name], "low": low, "high": high}  # fmt: skip


def _typed(request: HttpRequest) -> dict[str, float]:
    found = {}
    for name in NAMES:
        if text := request.POST.get(name, "").strip():
            try:
                found[name] = float(text)
            except ValueError:
                raise BadSignals(f"{name} is a number, not {text[:50]!r}.", field=name) from None
    return found


def _preview(request: HttpRequest, shop_id: int) -> dict[str, Any]:
    now = timezone.now()
    return signals_preview(
        shop_id=shop_id, signals=_typed(request), from_at=now - RANGE, to_at=now, click_throughs=BY_REST, now=now
    )


def _set(request: HttpRequest, shop_id: int) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()[:500] or None
    signals_set(shop_id=shop_id, signals=_typed(request), forced_because=reason, now=timezone.now())
    messages.success(request, "It is in the log: the next searches count by it.")
    return HttpResponseRedirect(f"{request.path}?shop={shop_id}")
