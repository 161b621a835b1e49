"""Routes of wallets and their books. Reset and unassign are trading's use cases and routed in `trading.api`."""

from __future__ import annotations

from django.urls import path

from apps.wallets.api import key_views, transaction_views, views, wallet_views

urlpatterns = [
    path("wallets/agent/<str:agent_id>", wallet_views.AgentWallets.as_view()),
    path("wallets/assign", wallet_views.AssignWallet.as_view()),
    path("wallets/signer", key_views.Signer.as_view()),
    path("wallets/keys", key_views.Keys.as_view()),
    path("wallets/keys/import", key_views.ImportKey.as_view()),
    path("wallets/keys/<str:address>/unlock", key_views.UnlockKey.as_view()),
    path("wallets/keys/<str:address>/lock", key_views.LockKey.as_view()),
    path("wallets/keys/<str:address>/export", key_views.ExportKey.as_view()),
    path("wallets/<str:address>/check-deposits", wallet_views.CheckDeposits.as_view()),
    path("agent-balances", views.Balances.as_view()),
    path("agent-balances/<str:balance_id>", views.BalanceDetail.as_view()),
    path("agent-transactions", transaction_views.Transactions.as_view()),
    path("agent-transactions/export", transaction_views.TransactionExport.as_view()),
    path("agent-transactions/<str:transaction_id>", transaction_views.TransactionDetail.as_view()),
]
