"""Routes of the console."""

from __future__ import annotations

from django.urls import path

from apps.console.api import openapi, views  # noqa: F401 - openapi registers how scrapers are described

urlpatterns = [
    path("health", views.Health.as_view()),
    path("health/ready", views.Ready.as_view()),
    path("health/live", views.Live.as_view()),
    path("metrics", views.Metrics.as_view()),
]
