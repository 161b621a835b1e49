"""Routes of trading signals."""

from __future__ import annotations

from django.urls import path

from apps.signals.api import views, webhook_views

urlpatterns = [
    path("trading-signals", views.Signals.as_view()),
    path("trading-signals/export", views.SignalExport.as_view()),
    path("trading-signals/all", views.AllSignals.as_view()),
    path("trading-signals/<str:signal_id>", views.SignalDetail.as_view()),
    path("webhooks/signals/<str:token>", webhook_views.SignalWebhookIntake.as_view()),
]
