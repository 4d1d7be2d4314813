"""The form of a rule. It checks what the API checks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils.timezone import localtime
from pydantic import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from ranking.models import Rule
from ranking.rules.inputs import RuleIn
from ranking.rules.rule import KINDS, SURFACES

FIELDS = ("rule_id", "kind", "rank", "factor", "product_id", "brand", "category", "query", "surfaces", "starts_at",
          "ends_at", "note")  # fmt: skip
_NAMES: dict[str, str] = {"rule_id": "id"}  # of a field, what the API calls it


def _line(label: str, help_text: str = "", *, required: bool = False) -> forms.CharField:
    return forms.CharField(label=label, help_text=help_text, required=required, widget=UnfoldAdminTextInputWidget())


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    shown = UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-12-01 00:00"})
    return forms.DateTimeField(label=label, help_text=help_text, required=False, widget=shown)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic when it runs
    """All of a rule; products that fit everything it names are meant."""

    rule_id = _line("Id", "Your own name of it, such as spring-sale; it cannot be changed later.", required=True)
    kind = forms.ChoiceField(choices=[(kind, kind) for kind in KINDS], widget=UnfoldAdminSelectWidget())
    rank = forms.IntegerField(
        required=False, widget=UnfoldAdminTextInputWidget(), help_text="Of a pin: the place, from 1."
    )
    factor = forms.FloatField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="Of a boost: 2 doubles the weight, 0.5 halves it.",
    )
    product_id = _line("Product id", "A pin names its product.")
    brand = _line("Brand")
    category = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="One a line, from the widest on; all that lies below is meant too.",
    )
    query = _line("Query", "The one search that it counts for; empty: all.")
    surfaces = forms.MultipleChoiceField(
        choices=[(surface, surface) for surface in SURFACES],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="None: everywhere.",
    )
    starts_at = _moment("Starts", "In UTC; empty: at once.")
    ends_at = _moment("Ends", "In UTC; empty: never.")
    note = _line("Note", "For those who read the list of rules.")

    item: dict[str, Any]  # what was typed, as the API takes it; set by clean()

    class Meta:
        model = Rule
        fields = FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        rule: Rule | None = kwargs.get("instance")
        editing = rule is not None and rule.pk is not None
        if rule is not None and editing:
            kwargs["initial"] = {"category": "\n".join(rule.category)} | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if editing:
            self.fields["rule_id"].disabled = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        self.item = _item(cleaned)
        try:
            RuleIn.model_validate(self.item)
        except ValidationError as error:
            fields = {api: name for name, api in _NAMES.items()}
            for each in error.errors(include_url=False, include_input=False):
                name = str(each["loc"][0])
                self.add_error(fields.get(name, name), f"{each['msg']}.")
        return cleaned

    def _post_clean(self) -> None:
        """Leave the row alone: it is written by a projection, from the event that saving appends."""


def _item(cleaned: dict[str, Any]) -> dict[str, Any]:
    lines = [line.strip() for line in cleaned["category"].splitlines() if line.strip()]
    given = {name: _given(value) for name, value in (cleaned | {"category": lines}).items()}
    return {_NAMES.get(name) or name: value for name, value in given.items() if value is not None}


def _given(value: Any) -> Any:
    if isinstance(value, datetime):
        return localtime(value).isoformat()
    return None if value in ("", []) else value
