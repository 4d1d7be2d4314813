from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Products and their description versions. Imports the event log only."""

    name = "catalog"
    verbose_name = "Catalogue"
