"""Routes of notify."""

from __future__ import annotations

from django.urls import path

from apps.notify.api import echo, views

urlpatterns = [
    path("webhooks/test", echo.EchoWebhook.as_view()),
    path("webhook-endpoints", views.Endpoints.as_view()),
    path("webhook-endpoints/<str:endpoint_id>", views.Endpoint.as_view()),
    path("webhook-endpoints/<str:endpoint_id>/rotate-secret", views.RotateSecret.as_view()),
    path("webhook-endpoints/<str:endpoint_id>/test", views.TestEndpoint.as_view()),
    path("webhook-endpoints/<str:endpoint_id>/deliveries", views.Deliveries.as_view()),
    path("webhook-deliveries/<str:delivery_id>", views.Delivery.as_view()),
    path("webhook-deliveries/<str:delivery_id>/resend", views.Resend.as_view()),
]
