"""Wallet rules as pure functions: what a transaction does to balances. Standard library and `apps.core.money` only."""
