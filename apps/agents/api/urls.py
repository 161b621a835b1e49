"""Routes of agents. What trading knows of an agent (positions, performance) is routed in `trading.api`."""

from __future__ import annotations

from django.urls import path

from apps.agents.api import views

urlpatterns = [
    path("agents", views.Agents.as_view()),
    path("agents/<str:agent_id>", views.AgentDetail.as_view()),
    path("agents/<str:agent_id>/config", views.AgentConfig.as_view()),
]
