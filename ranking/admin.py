"""Result lists for those who look after a shop's head queries: to look at, most moved first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin

from ranking.models import ResultList

PRODUCTS_SHOWN = 3


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
