"""For those who look after a shop: what its head queries find, most moved first, and its model versions, newest first.

Both are to look at. What is done to a version here appends events, through the registry.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID, Shop
from ranking.admin_rules import RuleAdmin
from ranking.model_diff import diff_queries, model_diff
from ranking.models import ModelVersion, ResultList, Rule
from ranking.registry import model_promote, model_rollback, model_serving, model_versions
from ranking.selectors import learning_answer

PRODUCTS_SHOWN = 3
DIFF_QUERIES = 50  # asked by a page twice each: about two seconds for versions that no process has met
WAIT_SECONDS = 2.0

admin.site.register(Rule, RuleAdmin)


class KeptFilter(admin.SimpleListFilter):
    """Lists that are kept current, unless retired ones are asked for."""

    title, parameter_name = "kept", "kept"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("retired", "Retired")]

    def choices(self, changelist: Any) -> Any:
        """ "All" would be wrong: it is those that are not retired."""
        kept, *others = super().choices(changelist)
        return [kept | {"display": "Current"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ResultList]) -> QuerySet[ResultList]:
        return queryset.filter(retired_at__isnull=self.value() != "retired")


@admin.register(ResultList)
class ResultListAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    list_display = (
        "query",
        "moved",
        "entered_shown",
        "left_shown",
        "reason",
        "model",
        "as_of_position",
        "refreshed_at",
    )
    list_filter = (KeptFilter, "reason", "model", "shop_id")
    search_fields = ("query", "items")
    search_help_text = "Words of the query, or a product's id"
    ordering = (F("overlap").asc(nulls_last=True), "query")
    list_per_page = 50
    show_full_result_count = False
    fields = (
        "query", "context_key", "reason", "moved", "overlap", "entered_shown", "left_shown", "answer", "model",
        "as_of_position", "refreshed_at", "retired_at", "version",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="moved", ordering="overlap", empty_value="–")
    def moved(self, listed: ResultList) -> str | None:
        """How far from the list before: 0 % the same, 100 % nothing in common."""
        return None if listed.overlap is None else f"{1 - listed.overlap:.1%}"

    @admin.display(description="entered", empty_value="–")
    def entered_shown(self, listed: ResultList) -> str | None:
        return _some(listed.entered)

    @admin.display(description="left", empty_value="–")
    def left_shown(self, listed: ResultList) -> str | None:
        return _some(listed.left)

    @admin.display(description="answer")
    def answer(self, listed: ResultList) -> str:
        ranked = enumerate(zip(listed.items, listed.scores, strict=True), start=1)
        lines = ((rank, item, f"{score:.4f}") for rank, (item, score) in ranked)
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}. {} ({})</li>", lines))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ResultList | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ResultList | None = None) -> bool:
        return False


def _some(products: list[str]) -> str | None:
    more = len(products) - PRODUCTS_SHOWN
    shown = ", ".join(products[:PRODUCTS_SHOWN])
    return f"{shown}, {more} more" if more > 0 else shown or None


@admin.register(ModelVersion)
class ModelVersionAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """What was trained, how it did, what serves; promote, roll back, and what changed between two."""

    list_display = (
        "version",
        "state",
        "parent",
        "trained_at",
        "click_throughs",
        "mrr",
        "accuracy",
        "overlap",
        "reason",
        "changed",
    )
    list_before_template = "ranking/admin/quality_link.html"
    list_filter = ("state", "major", "shop_id")
    search_fields = ("version", "reason")
    search_help_text = "A version, or words of the reason"
    ordering = ("-trained_position",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("promote", "roll_back")
    list_after_template = "ranking/admin/learning.html"
    fields = (
        "version", "state", "reason", "parent", "changed", "trained_at", "click_throughs", "mrr", "accuracy", "overlap",
        "from_position", "to_position", "promoted_position", "encoder", "artefact", "seed", "metrics", "config",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="trained on", empty_value="–")
    def click_throughs(self, version: ModelVersion) -> int | None:
        """How many click-throughs; none for one that judgements taught, and for 1.0."""
        count: int | None = version.metrics.get("click_throughs")
        return count

    @admin.display(description="MRR", empty_value="–")
    def mrr(self, version: ModelVersion) -> str | None:
        """Of the clicked product, of what served and of this version, on the newest click-throughs."""
        return _gate_change(version, "mrr")

    @admin.display(description="pairs in order", empty_value="–")
    def accuracy(self, version: ModelVersion) -> str | None:
        return _gate_change(version, "accuracy")

    @admin.display(description="overlap", empty_value="–")
    def overlap(self, version: ModelVersion) -> str | None:
        """Of first pages with those of what served: 1 the same."""
        overlap = version.metrics.get("gate", {}).get("overlap")
        return None if overlap is None else f"{overlap:.3f}"

    @admin.display(description="what changed", empty_value="–")
    def changed(self, version: ModelVersion) -> str | None:
        """A link to the queries that moved most from its parent's answers to its own."""
        if version.parent is None:
            return None
        address = reverse("admin:ranking_modelversion_diff")
        asked = f"first={version.parent}&second={version.version}&shop={version.shop_id}"
        return format_html('<a href="{}?{}">against {}</a>', address, asked, version.parent)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ModelVersion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ModelVersion | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may change model versions may say which one serves; nobody edits one."""
        return bool(super().has_change_permission(request))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The versions, and below them how often each shop learns."""
        shops = Shop.objects.order_by("id").values_list("id", flat=True)
        learning = [{"shop": shop_id, **learning_answer(shop_id=shop_id)} for shop_id in shops]
        response: HttpResponse = super().changelist_view(request, (extra_context or {}) | {"learning": learning})
        return response

    def get_urls(self) -> list[URLPattern]:
        diff = self.admin_site.admin_view(self.diff_view)
        return [path("diff/", diff, name="ranking_modelversion_diff"), *super().get_urls()]

    def diff_view(self, request: HttpRequest) -> HttpResponse:
        """The busiest queries whose first ten moved most between two versions of a shop, or those of the judgement list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        given = request.GET
        shop = given.get("shop", "")
        shop_id, judged = int(shop) if shop.isascii() and shop.isdigit() else DEFAULT_SHOP_ID, "judged" in given
        context = self.admin_site.each_context(request) | {
            "title": "What changed", "opts": self.opts, "shop": shop_id, "judged": judged,
            "versions": [each.version for each in model_versions(shop_id=shop_id)],
            "first": given.get("first", ""), "second": given.get("second", ""),
        }  # fmt: skip
        if context["first"] and context["second"]:
            try:
                context["diff"] = model_diff(
                    shop_id=shop_id, first=context["first"], second=context["second"], now=timezone.now(),
                    queries=diff_queries(shop_id=shop_id, limit=DIFF_QUERIES, judged=judged),
                )  # fmt: skip
            except FreshetError as error:
                context["error"] = error.detail
        return TemplateResponse(request, "ranking/admin/model_diff.html", context)

    @admin.action(description="Promote: let this version serve", permissions=["operate"])
    def promote(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> HttpResponse | None:
        """Ask first: every shopper sees what it answers."""
        chosen = list(queryset)
        if len(chosen) != 1:
            self.message_user(request, "Choose one version to promote.", messages.ERROR)
            return None
        (version,) = chosen
        if "confirmed" not in request.POST:
            serving = model_serving(shop_id=version.shop_id)
            said = f"{version} will serve every search of shop {version.shop_id} within two seconds"
            instead = f", instead of {serving.version}" if serving else ""
            return self._ask(request, "promote", version, f"{said}{instead}.")
        try:
            model_promote(
                shop_id=version.shop_id,
                version=version.version,
                reason=f"promoted by {request.user}",
                now=timezone.now(),
            )
        except FreshetError as error:
            self.message_user(request, f"Nothing was promoted. {error.detail}", messages.ERROR)
            return None
        return self._serves(request, version.shop_id, version.version)

    @admin.action(description="Roll back: let the version before what serves do it again", permissions=["operate"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> HttpResponse | None:
        """Of the shop of the version chosen; ask first, naming what serves."""
        version = queryset.first()
        serving = model_serving(shop_id=version.shop_id) if version else None
        if version is None or serving is None or queryset.count() != 1 or serving.version != version.version:
            self.message_user(request, "Choose the version that serves, to roll back from it.", messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            said = f"The version that served before {version} will serve every search of shop {version.shop_id} again."
            return self._ask(request, "roll_back", version, said)
        try:
            now_serves = model_rollback(shop_id=version.shop_id, now=timezone.now())
        except FreshetError as error:
            self.message_user(request, f"Nothing was rolled back. {error.detail}", messages.ERROR)
            return None
        return self._serves(request, version.shop_id, now_serves)

    def _ask(self, request: HttpRequest, action: str, version: ModelVersion, said: str) -> HttpResponse:
        title = "Promote a version" if action == "promote" else "Roll back"
        context = self.admin_site.each_context(request) | {
            "title": title, "opts": self.opts, "action": action, "version": version, "said": said,
        }  # fmt: skip
        return TemplateResponse(request, "ranking/admin/confirm.html", context)

    def _serves(self, request: HttpRequest, shop_id: int, version: str) -> HttpResponse:
        """Wait until it can be seen, a moment at most: a worker drains."""
        until = monotonic() + WAIT_SECONDS
        while (serving := model_serving(shop_id=shop_id)) is None or serving.version != version:
            if monotonic() > until:
                self.message_user(request, f"{version} will serve in a moment: it is in the log.", messages.WARNING)
                break
            sleep(0.05)
        else:
            self.message_user(request, f"{version} serves.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:ranking_modelversion_changelist"))


def _gate_change(version: ModelVersion, name: str) -> str | None:
    gate = version.metrics.get("gate", {})
    before, after = (gate.get(side, {}).get(name) for side in ("serving", "candidate"))
    return None if before is None or after is None else f"{before:.3f} → {after:.3f}"
