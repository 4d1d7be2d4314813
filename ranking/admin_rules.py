"""Rules for editors: see them, set them, end them. Saving appends events through the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID
from eventlog.receipts import row_visible
from ranking.forms_rules import FIELDS, RuleForm
from ranking.models import Rule
from ranking.rules.rule import SURFACES
from ranking.rules.services import rule_end, rules_put

WAIT_SECONDS = 2.0


class EndedFilter(admin.SimpleListFilter):
    """Rules that are not ended, unless what was before is asked for."""

    title, parameter_name = "kept", "kept"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("before", "Ended, or set anew since")]

    def choices(self, changelist: Any) -> Any:
        """ "All" would be wrong: it is those that are not ended."""
        kept, *others = super().choices(changelist)
        return [kept | {"display": "Current"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rule]) -> QuerySet[Rule]:
        return queryset.filter(closed_position__isnull=self.value() != "before")


class SurfaceFilter(admin.SimpleListFilter):
    """Rules that count on a surface, those for all surfaces among them."""

    title, parameter_name = "surface", "surface"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(surface, surface) for surface in SURFACES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rule]) -> QuerySet[Rule]:
        if self.value() is None:
            return queryset
        return queryset.filter(surfaces=[]) | queryset.filter(surfaces__contains=[self.value()])


class RuleAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    form = RuleForm
    fields = FIELDS
    list_display = ("rule_id", "does", "what", "where", "starts_at", "ends_at", "state", "note")
    list_filter = (EndedFilter, "kind", SurfaceFilter, "shop_id")
    search_fields = ("rule_id", "product_id", "brand", "query", "note")
    search_help_text = "An id, a product, a brand, a query, words of the note"
    ordering = ("-position",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("end",)
    warn_unsaved_form = True

    @admin.display(description="does", ordering="kind")
    def does(self, rule: Rule) -> str:
        return {"pin": f"pin to {rule.rank}", "boost": f"boost × {rule.factor or 0:g}"}.get(rule.kind, rule.kind)

    @admin.display(description="what")
    def what(self, rule: Rule) -> str:
        named = (rule.product_id, rule.brand, " > ".join(rule.category))
        return ", ".join(each for each in named if each)

    @admin.display(description="where")
    def where(self, rule: Rule) -> str:
        if rule.query is not None:
            return f"search: {rule.query}"
        return ", ".join(rule.surfaces) or "everywhere"

    @admin.display(description="state")
    def state(self, rule: Rule) -> str:
        now = timezone.now()
        if rule.closed_position is not None:
            return "ended"
        if rule.starts_at is not None and now < rule.starts_at:
            return "scheduled"
        return "over" if rule.ends_at is not None and rule.ends_at <= now else "in force"

    def has_change_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and (obj is None or obj.closed_position is None)

    def has_delete_permission(self, request: HttpRequest, obj: Rule | None = None) -> bool:
        return False  # rules are ended, never deleted

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Save, then wait until the rule can be seen (Django's view is one transaction: it cannot wait inside)."""
        try:
            response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        except FreshetError as error:
            self.message_user(request, f"Nothing was saved. {error.detail}", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        self._wait(request, getattr(request, "freshet_row_id", 0))
        return response

    def save_model(self, request: HttpRequest, obj: Rule, form: RuleForm, change: bool) -> None:
        """Append the rule as it was typed; the same once more appends nothing."""
        shop_id = obj.shop_id if change else DEFAULT_SHOP_ID
        done = rules_put(shop_id=shop_id, items=[form.item], now=timezone.now())
        request.freshet_row_id = done.row_id  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Rule, message: Any) -> None:
        """Nothing to note: the row comes from the event, and until then has no key."""

    def response_add(self, request: HttpRequest, obj: Rule, post_url_continue: str | None = None) -> HttpResponse:
        return self._to_the_list(request)

    def response_change(self, request: HttpRequest, obj: Rule) -> HttpResponse:
        return self._to_the_list(request)  # the row of a rule that was set anew is another one

    def _to_the_list(self, request: HttpRequest) -> HttpResponse:
        self.message_user(request, "The rule was set.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:ranking_rule_changelist"))

    @admin.action(description="End: it counts no more", permissions=["change"])
    def end(self, request: HttpRequest, queryset: QuerySet[Rule]) -> None:
        chosen = list(queryset.filter(closed_position=None))
        now = timezone.now()
        ended = [rule_end(shop_id=rule.shop_id, rule_id=rule.rule_id, now=now) for rule in chosen]
        self.message_user(request, f"{len(chosen)} ended.", messages.SUCCESS)
        self._wait(request, max(ended, default=0))

    def _wait(self, request: HttpRequest, row_id: int) -> None:
        if row_id and not row_visible(row_id, wait_seconds=WAIT_SECONDS)["visible"]:
            self.message_user(
                request, "It is in the log, and will show here and in lists in a moment.", messages.WARNING
            )
