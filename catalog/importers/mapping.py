"""Column maps: how the columns of a shop's file become the fields of a product (docs/how-to/import-products.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from catalog.inputs import ProductIn
from eventlog.errors import FreshetError
from eventlog.rejections import rejection_of

MAPS = Path(__file__).resolve().parent.parent / "maps"
_TRUE, _FALSE = {"true", "yes", "y", "t", "in stock"}, {"false", "no", "n", "f", "out of stock", "sold out"}


class BadMap(FreshetError):
    """A column map cannot be used."""

    code = "bad_map"


class Rule(BaseModel):
    """Where a field comes from, and what is done to it on the way, in this order: values, split, divide."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: Annotated[list[str], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = Field(
        default=[], alias="from", description="The first of these columns that holds something"
    )
    value: Any = Field(default=None, description="What the field is when no column holds anything")
    values: dict[str, Any] = Field(default={}, description="What certain texts become; null: nothing")
    split: str | None = Field(default=None, min_length=1, description="Cut a text into a list at this separator")
    divide: float | None = Field(default=None, gt=0, description="Divide a number, 100 for prices in cents")
    decimal_comma: bool = Field(default=False, description="Numbers are written 1.299,00")

    def read(self, row: Mapping[str, Any]) -> Any:
        """Return what this rule finds in a row, None when that is nothing."""
        for column in self.columns:
            found = row.get(column)
            if isinstance(found, str):
                found = self.values.get(found, found) if self.values else found
                found = self._of_text(found) if isinstance(found, str) else found
            if found is not None and found != []:
                return self._divided(found)
        return self.value

    def _of_text(self, text: str) -> Any:
        if not text or text.isspace():
            return None
        if self.split is not None:
            return [part.strip() for part in text.split(self.split) if part.strip()]
        return text.replace(".", "").replace(",", ".") if self.decimal_comma else text

    def _divided(self, value: Any) -> Any:
        if self.divide is None:
            return value
        number = _number(value)
        return number / self.divide if isinstance(number, int | float) else number


def _as_rule(given: Any) -> Any:
    return {"from": given} if isinstance(given, str | list) else given


AnyRule = Annotated[Rule, BeforeValidator(_as_rule)]


class AttributeRules(BaseModel):
    """Which columns become attributes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, AnyRule] = Field(default={}, description="Attribute name to column")
    prefixes: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="Columns that start so, named by what follows"
    )
    objects: list[str] = Field(default=[], description="Columns that hold an object of attributes")

    def read(self, row: Mapping[str, Any]) -> Any:
        """Return the attributes of a row."""
        found: dict[str, Any] = {}
        for column in self.objects:
            value = row.get(column)
            if value is not None and not isinstance(value, dict):
                return value  # refused later, by the field's own check
            found |= value or {}
        for prefix in self.prefixes:
            found |= {name[len(prefix) :]: value for name, value in row.items() if name.startswith(prefix)}
        for name, rule in self.columns.items():
            found[name] = rule.read(row)
        return {name: value for name, value in found.items() if value is not None and value != ""}


class ProductMap(BaseModel):
    """A whole map: a rule for each field that the file has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str = ""
    fields: dict[str, AnyRule]
    attributes: AttributeRules = AttributeRules()
    other_columns: Literal["ignore", "refuse"] = "ignore"

    def columns(self) -> set[str]:
        """Every column that the map names."""
        rules = [*self.fields.values(), *self.attributes.columns.values()]
        return {column for rule in rules for column in rule.columns} | set(self.attributes.objects)

    def product(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Turn a row into the fields of a product. What cannot be converted stays as it is, to be refused by name."""
        product = {name: _CONVERT.get(name, _same)(rule.read(row)) for name, rule in self.fields.items()}
        if attributes := self.attributes.read(row):
            product["attributes"] = attributes
        return {name: value for name, value in product.items() if value is not None}

    def check_header(self, header: Iterable[str]) -> None:
        """Raises BadMap when a table lacks the columns of a product's id or title, or has columns nobody asked for."""
        given = list(header)
        for name in ("product_id", "title"):
            rule = self.fields.get(name, Rule())
            if rule.value is None and not set(rule.columns) & set(given):
                wanted = ", ".join(rule.columns) or "none in this map"
                raise BadMap(
                    f"No column for {name} (looked for: {wanted}); the file has {', '.join(given)}.", field=name
                )
        if self.other_columns == "refuse":
            for column in given:
                if column not in self.columns() and not column.startswith(tuple(self.attributes.prefixes)):
                    near = get_close_matches(column, self.columns(), n=1)
                    hint = f"did you mean {near[0]!r}?" if near else "name it in a map, or let a map ignore it (--map)."
                    raise BadMap(f"Nobody knows what the column {column!r} is; {hint}", field=column)


def _same(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return float(value.strip())
        except ValueError:
            return value
    return value


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _truth(value: Any) -> Any:
    """Read a word, or a number of pieces in stock."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
    number = _number(value)
    return number > 0 if isinstance(number, int | float) and not isinstance(number, bool) else value


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _relations(value: Any) -> Any:
    """Read kind:product_id, or a list of such texts."""
    return [_relation(each) for each in _list(value)] if isinstance(value, str | list) else value


def _relation(value: Any) -> Any:
    if not isinstance(value, str) or ":" not in value:
        return value
    kind, _, product_id = value.partition(":")
    return {"kind": kind.strip(), "product_id": product_id.strip()}


_CONVERT = {"product_id": _id, "price": _number, "in_stock": _truth, "category": _list, "relations": _relations}


def map_read(name_or_file: str) -> ProductMap:
    """Read a map that ships with Freshet by its name, or one of your own by its path. Raises BadMap."""
    path = Path(name_or_file)
    if path.suffix != ".json":
        path = MAPS / f"{name_or_file}.json"
    if not path.is_file():
        shipped = ", ".join(sorted(each.stem for each in MAPS.glob("*.json")))
        raise BadMap(f"There is no map {name_or_file}; there are {shipped}, or give a file that ends in .json.")
    try:
        found = ProductMap.model_validate(orjson.loads(path.read_bytes()))
    except orjson.JSONDecodeError as error:
        raise BadMap(f"{path} is not JSON: {error}.") from error
    except ValidationError as error:
        wrong = rejection_of(error, model=ProductMap)
        raise BadMap(f"{path}: {wrong.field}: {wrong.detail}", field=wrong.field) from error
    for name in found.fields:
        if name not in ProductIn.model_fields or name == "attributes":
            near = get_close_matches(name, ProductIn.model_fields, n=1)
            raise BadMap(f"{path}: a product has no field {name!r}" + (f"; {near[0]!r}?" if near else "."), field=name)
    return found
