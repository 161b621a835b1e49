"""The outside world of wallets."""
