"""Where one's own account is, beside the models' pages of the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from apps.accounts import own_pages

urlpatterns = [
    path("password_change/", admin.site.admin_view(own_pages.PasswordChange.as_view(), cacheable=False)),
    path("me/", admin.site.admin_view(own_pages.account), name=own_pages.ACCOUNT),
    path("me/second-factor/", admin.site.admin_view(own_pages.own_second_factor), name=own_pages.SECOND_FACTOR),
    path("me/sessions/end", admin.site.admin_view(own_pages.end_every_session), name="end_my_sessions"),
    path("me/sessions/<uuid:session_key>/end", admin.site.admin_view(own_pages.end_session), name="end_my_session"),
]
