"""Addresses of the storefront."""

from django.urls import path

from storefront.views import favicon, storefront

urlpatterns = [path("", storefront, name="storefront"), path("favicon.ico", favicon)]
