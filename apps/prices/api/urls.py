"""Routes of prices."""

from __future__ import annotations

from django.urls import path

from apps.prices.api import views

urlpatterns = [
    path("price-feeds/sol-usd", views.SolUsdPrice.as_view()),
    path("prices/<str:mint>/candles", views.Candles.as_view()),
    path("data-sources/status", views.DataSources.as_view()),
]
