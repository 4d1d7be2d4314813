"""Every address of Freshet."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerView

from config.api.schema import schema
from config.health import live, ready
from config.metrics import metrics
from ranking.admin_quality import quality_view
from ranking.admin_signals import signals_view
from ranking.bandit.page import strategies_view
from ranking.experiments.pages import experiments_view

urlpatterns = [
    path("v1/", include("catalog.urls")),
    path("v1/", include("feedback.urls")),
    path("v1/", include("ranking.urls")),
    path("v1/", include("insights.urls")),
    path("v1/schema", schema, name="schema"),
    path("v1/docs", SpectacularSwaggerView.as_view(throttle_classes=[]), name="docs"),
    path("health/live", live),
    path("health/ready", ready),
    path("metrics", metrics),
    path("admin/strategies/", admin.site.admin_view(strategies_view), name="strategies"),
    path("admin/learning/", admin.site.admin_view(quality_view), name="learning_quality"),
    path("admin/signals/", admin.site.admin_view(signals_view), name="signals"),
    path("admin/experiments/", admin.site.admin_view(experiments_view), name="experiments"),
    path("admin/", admin.site.urls),
    path("", include("storefront.urls")),
]
