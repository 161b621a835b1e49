"""Routes of wallets and their books. Resetting a wallet is trading's use case and routed in `trading.api`."""

from __future__ import annotations

from django.urls import path

from apps.wallets.api import views

urlpatterns = [
    path("wallets/agent/<str:agent_id>", views.AgentWallets.as_view()),
    path("agent-balances", views.Balances.as_view()),
    path("agent-balances/<str:balance_id>", views.BalanceDetail.as_view()),
    path("agent-transactions", views.Transactions.as_view()),
    path("agent-transactions/<str:transaction_id>", views.TransactionDetail.as_view()),
]
