"""Routes of accounts."""

from __future__ import annotations

from django.urls import path

from apps.accounts.api import api_key_views, second_factor_views, session_views, views
from apps.accounts.api import openapi as openapi  # registers how callers are described

urlpatterns = [
    path("auth/login", views.Login.as_view()),
    path("auth/refresh", views.Refresh.as_view()),
    path("auth/logout", views.Logout.as_view()),
    path("auth/me", views.Me.as_view()),
    path("auth/ws-ticket", views.WebSocketTicket.as_view()),
    path("auth/password", views.Password.as_view()),
    path("auth/logout-all", session_views.LogoutAll.as_view()),
    path("auth/sessions", session_views.Sessions.as_view()),
    path("auth/sessions/<str:session_id>", session_views.Session.as_view()),
    path("auth/totp", second_factor_views.Totp.as_view()),
    path("auth/totp/confirm", second_factor_views.TotpConfirm.as_view()),
    path("auth/totp/recovery-codes", second_factor_views.RecoveryCodes.as_view()),
    path("api-keys", api_key_views.ApiKeys.as_view()),
    path("api-keys/<str:key_id>", api_key_views.ApiKey.as_view()),
]
