"""Routes of the live desk, under /desk/."""

from __future__ import annotations

from django.urls import path

from apps.console import views

app_name = "desk"
urlpatterns = [
    path("", views.desk, name="desk"),
    path("signals/<int:signal_id>", views.signal, name="signal"),
    path("place", views.where, name="place"),
    path("levels", views.levels, name="levels"),
    path("positions/<uuid:position_id>", views.position, name="position"),
    path("positions/<uuid:position_id>/close", views.close_position, name="close"),
]
