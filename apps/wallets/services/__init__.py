"""Changes to wallets: `books` posts to ledger and balances, `deposits` and `wallets` are the use cases."""
