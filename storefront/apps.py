"""The storefront app: it talks to the REST API only."""

from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    """The sample shop, its page, and the shoppers that are simulated in it."""

    name = "storefront"
    verbose_name = "Sample shop"
