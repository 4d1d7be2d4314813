"""Filters of the product list in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from catalog.models import Product
from catalog.selectors import frequent_values

_MOST_CHOICES = 40


class _FrequentValues(admin.SimpleListFilter):
    """The values of a column that most products have."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        found = frequent_values(column=str(self.parameter_name), limit=_MOST_CHOICES)
        return [(value, f"{Truncator(value).chars(40)} ({products})") for value, products in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        return queryset if self.value() is None else queryset.filter(**{str(self.parameter_name): self.value()})


class BrandFilter(_FrequentValues):
    title, parameter_name = "brand", "brand"


class LanguageFilter(_FrequentValues):
    title, parameter_name = "language", "language"


class CategoryFilter(_FrequentValues):
    title, parameter_name = "category", "category"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        return queryset if self.value() is None else queryset.filter(category__contains=[self.value()])


class RetiredFilter(admin.SimpleListFilter):
    title, parameter_name = "retired", "retired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [("no", "No"), ("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        return queryset if self.value() is None else queryset.filter(retired_at__isnull=self.value() == "no")
