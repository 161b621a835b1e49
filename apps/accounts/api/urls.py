"""Routes of accounts."""

from __future__ import annotations

from django.urls import path

from apps.accounts.api import openapi, views  # noqa: F401 - openapi registers how callers are described

urlpatterns = [
    path("auth/login", views.Login.as_view()),
    path("auth/refresh", views.Refresh.as_view()),
    path("auth/logout", views.Logout.as_view()),
    path("auth/me", views.Me.as_view()),
    path("auth/ws-ticket", views.WebSocketTicket.as_view()),
    path("api-keys", views.ApiKeys.as_view()),
    path("api-keys/<str:key_id>", views.ApiKey.as_view()),
]
