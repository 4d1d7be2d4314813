"""Addresses of the catalogue, mounted at /v1/. `path:` because an id may hold a slash: %2F arrives as one."""

from django.urls import path

from catalog import apis

urlpatterns = [
    path("products", apis.ProductsApi.as_view()),
    path("products/<path:product_id>/descriptions/<int:version>/restore", apis.RestoreApi.as_view()),
    path("products/<path:product_id>/descriptions", apis.DescriptionsApi.as_view()),
    path("products/<path:product_id>", apis.ProductApi.as_view()),
]
