"""Products for editors. Saving appends events through the services; the tables are never written from here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from catalog.admin_filters import BrandFilter, CategoryFilter, LanguageFilter, RetiredFilter
from catalog.diffs import content_diff
from catalog.forms import ProductForm
from catalog.models import DescriptionVersion, Product
from catalog.selectors import history
from catalog.services import description_restore, product_edit, product_retire, products_upsert
from eventlog.errors import FreshetError
from eventlog.models import DEFAULT_SHOP_ID
from eventlog.receipts import receipt_read, row_visible

WAIT_SECONDS = 2.0
VERSIONS_SHOWN = 20


@admin.register(Product)
class ProductAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    form = ProductForm
    list_display = (
        "product_id",
        "short_title",
        "brand",
        "category_path",
        "price_shown",
        "in_stock",
        "version",
        "updated_at",
        "retired_at",
    )
    list_display_links = ("product_id", "short_title")
    list_filter = (BrandFilter, CategoryFilter, LanguageFilter, "in_stock", RetiredFilter, "shop_id")
    search_fields = ("title", "product_id", "brand")
    search_help_text = "Words of the title, the brand, or an id"
    ordering = ("-updated_at", "-id")
    list_per_page = 50
    show_full_result_count = False
    actions = ("retire",)
    warn_unsaved_form = True
    change_form_outer_after_template = "catalog/admin/history.html"
    _description = (
        "title",
        "description",
        "language",
        "brand",
        "category",
        "attributes",
        "image_url",
        "released_at",
        "relations",
    )
    fieldsets = (
        (None, {"fields": ("product_id", "description_version", "offer_version")}),
        ("Description", {"fields": _description}),
        ("Offer", {"fields": ("price", "currency", "in_stock")}),
    )

    @admin.display(description="title", ordering="title")
    def short_title(self, product: Product) -> str:
        return format_html(
            '<span style="display: block; min-width: 16rem">{}</span>', Truncator(product.title).chars(90)
        )

    @admin.display(description="category")
    def category_path(self, product: Product) -> str:
        return Truncator(" > ".join(product.category)).chars(60)

    @admin.display(description="price", ordering="price")
    def price_shown(self, product: Product) -> str:
        if product.price is None:
            return "–"
        return format_html(
            '<span style="white-space: nowrap">{} {}</span>', f"{product.price:,.2f}", product.currency or ""
        )

    @admin.display(description="version", ordering="description_version")
    def version(self, product: Product) -> int:
        return product.description_version

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False  # products are retired, never deleted

    def has_change_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.retired_at is None)

    def get_urls(self) -> list[URLPattern]:
        restore = self.admin_site.admin_view(require_POST(self.restore_view))
        own = [path("<path:object_id>/restore/<int:version>/", restore, name="catalog_product_restore")]
        return [*own, *super().get_urls()]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Save, then wait until the change can be seen (Django's view is one transaction: it cannot wait inside)."""
        product = self.get_object(request, object_id) if object_id else None
        context = {"history": _history(product)} if product and request.method == "GET" else {}
        try:
            response: HttpResponse = super().changeform_view(
                request, object_id, form_url, (extra_context or {}) | context
            )
        except FreshetError as error:
            self.message_user(request, f"Nothing was saved. {error.detail}", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        if row_id := getattr(request, "freshet_row_id", 0):
            self._wait(request, row_id)
        return response

    def save_model(self, request: HttpRequest, obj: Product, form: ProductForm, change: bool) -> None:
        """Append what changed. Raises ConcurrentChange when somebody was faster than the form's own check."""
        if change:
            revised = product_edit(
                shop_id=obj.shop_id,
                product=form.product,
                expected_description_version=form.cleaned_data["description_version"],
                expected_offer_version=form.cleaned_data["offer_version"],
                now=timezone.now(),
            )
            row_id = revised.row_id
        else:
            item = form.product.model_dump()
            row_id = products_upsert(shop_id=DEFAULT_SHOP_ID, items=[item], origin="admin", now=timezone.now()).row_id
        request.freshet_row_id = row_id  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Product, message: Any) -> None:
        """Nothing to note: the row comes from the event, and until then has no key."""

    def response_add(self, request: HttpRequest, obj: Product, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, "The product was added.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:catalog_product_changelist"))

    def restore_view(self, request: HttpRequest, object_id: str, version: int) -> HttpResponse:
        """Make a description version current again, if nothing has changed since the editor saw the history."""
        product = self.get_object(request, object_id)
        seen = request.POST.get("current", "")
        if product is None or not (seen.isascii() and seen.isdigit()):
            raise Http404
        if not self.has_change_permission(request, product):
            raise PermissionDenied
        try:
            revised = description_restore(
                shop_id=product.shop_id,
                product_id=product.product_id,
                version=version,
                expected_version=int(seen),
                now=timezone.now(),
            )
        except FreshetError as error:
            self.message_user(request, f"Nothing was restored. {error.detail}", messages.ERROR)
        else:
            self.message_user(
                request, f"Version {version} is current again, as version {revised.version}.", messages.SUCCESS
            )
            self._wait(request, revised.row_id)
        return HttpResponseRedirect(reverse("admin:catalog_product_change", args=[object_id]))

    @admin.action(description="Retire: never shown again", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        """Ask first, since it cannot be undone."""
        chosen = list(queryset.filter(retired_at=None))
        if "confirmed" not in request.POST:
            context = self.admin_site.each_context(request) | {
                "title": "Retire products",
                "products": chosen,
                "opts": self.opts,
            }
            return TemplateResponse(request, "catalog/admin/retire.html", context)
        row_id = 0
        for product in chosen:
            receipt = product_retire(shop_id=product.shop_id, product_id=product.product_id, now=timezone.now())
            row_id = max(row_id, receipt_read(receipt, shop_id=product.shop_id))
        self.message_user(request, f"{len(chosen)} retired.", messages.SUCCESS)
        self._wait(request, row_id)
        return None

    def _wait(self, request: HttpRequest, row_id: int) -> None:
        if not row_visible(row_id, wait_seconds=WAIT_SECONDS)["visible"]:
            self.message_user(
                request, "It is in the log, and will show here and in search in a moment.", messages.WARNING
            )


@admin.register(DescriptionVersion)
class DescriptionVersionAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """The history of every product in one list, to look at; restoring is done on the product's page."""

    list_display = ("product_id", "version", "origin", "restored_from", "recorded_at", "position")
    list_filter = ("origin",)
    search_fields = ("product_id",)
    ordering = ("-position",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DescriptionVersion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DescriptionVersion | None = None) -> bool:
        return False


def _history(product: Product) -> list[dict[str, Any]]:
    """The newest description versions of a product, each with what it changed."""
    versions = history(shop_id=product.shop_id, product_id=product.product_id, limit=VERSIONS_SHOWN + 1)
    older = [version.content for version in versions[1:]] + [{}]
    shown = zip(versions[:VERSIONS_SHOWN], older, strict=False)
    return [
        {
            "version": version,
            "current": version.version == product.description_version,
            "changes": content_diff(old, version.content),
        }
        for version, old in shown
    ]
