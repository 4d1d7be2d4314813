"""The one table of the log that the ORM manages. The others are plain SQL (`sql/log.sql`): partitions, functions."""

from __future__ import annotations

from django.db import models

DEFAULT_SHOP_ID = 1


class Shop(models.Model):
    """Whose events these are. Every row that belongs to a shop carries its id."""

    id = models.AutoField(primary_key=True)
    name = models.SlugField(max_length=60, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
