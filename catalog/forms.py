"""The editor's form of a product. It checks what the API checks, and carries the versions that the editor looked at."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput
from pydantic import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from catalog.decisions import DESCRIPTION_FIELDS
from catalog.inputs import ProductIn
from catalog.models import DescriptionVersion, Product
from catalog.selectors import head_of
from eventlog.models import DEFAULT_SHOP_ID


class JsonAsTyped(forms.JSONField):
    """JSON, shown again as it was typed when it is refused."""

    widget = UnfoldAdminTextareaWidget

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.disabled else InvalidJSONInput(data or "")

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=1)


def _line(label: str, help_text: str = "", *, required: bool = False) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget()
    return forms.CharField(label=label, help_text=help_text, required=required, strip=False, widget=widget)


def _text(label: str, rows: int, help_text: str = "", *, required: bool = False) -> forms.CharField:
    widget = UnfoldAdminTextareaWidget(attrs={"rows": rows})
    return forms.CharField(label=label, help_text=help_text, required=required, strip=False, widget=widget)


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic when it runs
    """All of a product. `description_version` and `offer_version` say what the editor saw."""

    product_id = _line("Product id", "The shop's own id; it cannot be changed later.", required=True)
    title = _text("Title", 2, required=True)
    description = _text("Description", 8)
    language = _line("Language", "Such as en or zh-Hans.")
    brand = _line("Brand")
    category = _text("Category", 3, "One a line, from the widest to the narrowest.")
    attributes = JsonAsTyped(required=False, help_text='Such as {"colour": "Black", "power_w": 10}')
    image_url = _line("Image address")
    released_at = _line("Released", "Such as 2019-03-01 or 2019-03-01T10:00:00Z.")
    relations = JsonAsTyped(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text='Such as [{"kind": "accessory_of", "product_id": "77"}]',
    )
    price = forms.FloatField(required=False, widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}))
    currency = _line("Currency", "Such as EUR.")
    in_stock = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget())
    description_version = forms.IntegerField(required=False, widget=forms.HiddenInput())
    offer_version = forms.IntegerField(required=False, widget=forms.HiddenInput())

    product: ProductIn  # what was typed, checked; set by clean()

    class Meta:
        model = Product
        fields = (
            *DESCRIPTION_FIELDS,
            "product_id",
            "price",
            "currency",
            "in_stock",
            "description_version",
            "offer_version",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance: Product | None = kwargs.get("instance")
        self.editing = instance is not None and instance.pk is not None
        if instance is not None and self.editing:
            kwargs["initial"] = _initial(instance) | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if self.editing:
            self.fields["product_id"].disabled = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        try:
            self.product = ProductIn.model_validate(self._item(cleaned))
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                self.add_error(str(each["loc"][0]), f"{each['msg']}.")
            return cleaned
        self._check_versions(cleaned)
        return cleaned

    def _item(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        texts = ("product_id", "title", "description", "language", "brand", "image_url", "released_at", "currency")
        return {
            **{name: self._as_it_was(name, cleaned[name]) or None for name in texts},
            "category": [line for line in cleaned["category"].splitlines() if line.strip()],
            "attributes": cleaned["attributes"],
            "relations": cleaned["relations"],
            "price": cleaned["price"],
            "in_stock": cleaned["in_stock"],
        }

    def _as_it_was(self, name: str, typed: str) -> str:
        """Undo what a browser does to line ends, so that a text nobody touched stays the same to the byte."""
        before = self.initial.get(name) or ""
        typed = typed.replace("\r\n", "\n")
        return before if typed == before.replace("\r\n", "\n") else typed

    def _check_versions(self, cleaned: dict[str, Any]) -> None:
        """Refuse a form made from what is no longer so, and keep what was typed. (A later race raises ConcurrentChange.)"""
        shop_id = self.instance.shop_id if self.editing else DEFAULT_SHOP_ID
        head = head_of(shop_id=shop_id, product_id=self.product.product_id)
        if not self.editing:
            if head.description_version:
                self.add_error("product_id", "There is a product of this id already.")
        elif (cleaned["description_version"], cleaned["offer_version"]) != (
            head.description_version,
            head.offer_version,
        ):
            raise forms.ValidationError(
                "Somebody else changed this product while you edited it, so nothing was saved. "
                "Copy what you typed, open the product again and repeat your change.",
                code="concurrent_change",
            )

    def _post_clean(self) -> None:
        """Leave the row alone: it is written by a projection, from the event that saving appends."""


def _initial(product: Product) -> dict[str, Any]:
    """What the form starts from: the content as it was sent, which tells a day from the midnight it is stored as."""
    current = DescriptionVersion.objects.filter(
        shop_id=product.shop_id, product_id=product.product_id, version=product.description_version
    ).first()
    content = current.content if current else {}
    return {
        **{name: content.get(name) for name in DESCRIPTION_FIELDS},
        "category": "\n".join(content.get("category", [])),
        "attributes": content.get("attributes", {}),
        "relations": content.get("relations", []),
    }
