"""Read models of the catalogue, written by `catalog.projections.products` only, and what an import has got through."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Product(models.Model):
    """A product as it is now: its current description version and its current offer."""

    id = models.BigIntegerField(primary_key=True)  # position of its first event: the same after every rebuild
    shop_id = models.IntegerField()
    product_id = models.TextField()  # the shop's own id
    title = models.TextField()
    description = models.TextField()
    language = models.TextField(null=True)
    brand = models.TextField(null=True)
    category = ArrayField(models.TextField())
    attributes = models.JSONField()
    image_url = models.TextField(null=True)
    released_at = models.DateTimeField(null=True)
    relations = models.JSONField()
    price = models.FloatField(null=True)
    currency = models.TextField(null=True)
    in_stock = models.BooleanField()
    retired_at = models.DateTimeField(null=True)
    description_version = models.IntegerField()
    offer_version = models.IntegerField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["shop_id", "product_id"], name="catalog_product_key"),)
        indexes = (
            # the filters of a search: filter=brand:HP, filter=price:10..50, filter=category:Audio, in stock only
            models.Index(fields=["shop_id", "brand"], name="catalog_product_brand"),
            models.Index(fields=["shop_id", "price"], name="catalog_product_price"),
            GinIndex(fields=["category"], name="catalog_product_category"),
            models.Index(fields=["shop_id", "in_stock"], name="catalog_product_stock"),
            # sort=newest, and the fresh candidates
            models.Index(fields=["shop_id", "-released_at"], name="catalog_product_released"),
        )

    def __str__(self) -> str:
        return self.title


class DescriptionVersion(models.Model):
    """One version of a product's description, kept for ever."""

    position = models.BigIntegerField(primary_key=True)
    shop_id = models.IntegerField()
    product_id = models.TextField()
    version = models.IntegerField()
    recorded_at = models.DateTimeField()
    origin = models.TextField()
    restored_from = models.IntegerField(null=True)
    content = models.JSONField()  # the event's data

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["shop_id", "product_id", "version"], name="catalog_descriptionversion_key"),
        )

    def __str__(self) -> str:
        return f"{self.product_id} version {self.version}"


class FileImport(models.Model):
    """How far a file got into the log, so that an import that broke off goes on where it was. Not a read model."""

    shop_id = models.IntegerField()
    identity = models.TextField()  # digest of the file's bytes and of the map it was read with
    next_byte = models.BigIntegerField(default=0)
    next_line = models.BigIntegerField(default=1)
    accepted = models.IntegerField(default=0)
    unchanged = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["shop_id", "identity"], name="catalog_fileimport_key"),)

    def __str__(self) -> str:
        return self.identity
