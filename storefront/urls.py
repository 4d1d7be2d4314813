"""Addresses of the storefront."""

from django.urls import path

from storefront.views import storefront

urlpatterns = [path("", storefront, name="storefront")]
