"""Routes of trading, among them what trading knows of an agent or does to a wallet."""

from __future__ import annotations

from django.urls import path

from apps.trading.api import desk_views, limit_views, story_views, swap_views, views, wallet_views

urlpatterns = [
    path("agent-positions/<str:agent_id>", views.Positions.as_view()),
    path("agent-positions/<str:agent_id>/take-profit-summary", views.TakeProfitSummary.as_view()),
    path("agent-positions/<str:agent_id>/<str:position_id>/close", views.ClosePosition.as_view()),
    path("agent-positions/<str:agent_id>/<str:position_id>/events", story_views.PositionEvents.as_view()),
    path("agents/<str:agent_id>/positions", views.AgentPositions.as_view()),
    path("agents/<str:agent_id>/positions/<str:position_id>/close", views.CloseAgentPosition.as_view()),
    path("agents/<str:agent_id>/positions/<str:position_id>/events", story_views.AgentPositionEvents.as_view()),
    path("agents/<str:agent_id>/performance", desk_views.AgentPerformance.as_view()),
    path("agents/<str:agent_id>/balance-history", desk_views.BalanceHistory.as_view()),
    path("agents/<str:agent_id>/loss-limits", limit_views.AgentLossLimits.as_view()),
    path("agents/<str:agent_id>/token-safety", limit_views.AgentTokenSafety.as_view()),
    path("agent-historical-swaps", swap_views.Swaps.as_view()),
    path("agent-historical-swaps/export", swap_views.SwapExport.as_view()),
    path("agent-historical-swaps/<str:trade_id>", swap_views.SwapDetail.as_view()),
    path("trades/execute", views.ExecuteTrade.as_view()),
    path("trading-state", desk_views.TradingState.as_view()),
    path("trading-state/loss-limits", limit_views.DeskLossLimits.as_view()),
    path("wallets/<str:address>/reset", wallet_views.ResetWallet.as_view()),
    path("wallets/<str:address>/unassign", wallet_views.UnassignWallet.as_view()),
]
