"""API keys. They are not events: a secret does not belong in a log that is kept for ever."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

SCOPES = ("search", "events", "beacon", "catalog", "operate")
PUBLIC_SCOPES = ("search", "beacon")  # what a key may do that every visitor of a web page can read


class ApiKey(models.Model):
    """Who calls: a shop, what the key may do, from where and how often. The secret itself is kept as a hash only."""

    shop = models.ForeignKey("eventlog.Shop", on_delete=models.PROTECT)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, help_text="The first characters of the key, to tell it from others.")
    secret_hash = models.BinaryField(max_length=32, unique=True)  # SHA-256 of 256 random bits needs no salt
    scopes = ArrayField(models.CharField(max_length=16), help_text=f"Any of {', '.join(SCOPES)}.")
    public = models.BooleanField(default=False, help_text="The key stands in a web page: limited by visitor's address.")
    allowed_origins = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    rate = models.CharField(max_length=20, null=True, blank=True, help_text="Requests a period, such as 20/s or 600/m.")
    # in the clear, because an HMAC cannot be checked with a hash; it proves a shopper's id and opens nothing
    signing_secret = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True, help_text="To the hour.")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "API key"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="api_key_scopes_known", condition=Q(scopes__contained_by=list(SCOPES)) & Q(scopes__len__gt=0)
            ),
            models.CheckConstraint(
                name="api_key_public_scopes", condition=Q(public=False) | Q(scopes__contained_by=list(PUBLIC_SCOPES))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
