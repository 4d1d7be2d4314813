"""API keys in the admin: seen and revoked there, made by `manage.py create_api_key`, which shows the key once."""

from __future__ import annotations

from datetime import UTC, datetime

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from config.api.keys import CACHE_SECONDS, api_keys_revoke
from config.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    list_display = ("name", "prefix", "shop", "scopes", "public", "rate", "created_at", "last_used_at", "revoked_at")
    list_filter = ("shop", "public")
    search_fields = ("name", "prefix")
    ordering = ("-created_at",)
    exclude = ("secret_hash", "signing_secret")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False  # a revoked key stays, so that log lines with its number can be read

    @admin.action(description="Revoke: the key stops working", permissions=["view"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = api_keys_revoke(keys=list(queryset), now=datetime.now(UTC))
        self.message_user(request, f"{revoked} revoked; every process knows within {CACHE_SECONDS:.0f} seconds.")
