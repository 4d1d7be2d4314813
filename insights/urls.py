from django.urls import path

from insights.apis import FreshnessApi

urlpatterns = [path("freshness", FreshnessApi.as_view())]
