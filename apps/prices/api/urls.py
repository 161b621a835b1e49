"""Routes of prices."""

from __future__ import annotations

from django.urls import path

from apps.prices.api import views

urlpatterns = [path("price-feeds/sol-usd", views.SolUsdPrice.as_view())]
