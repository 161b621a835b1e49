"""Doors of wallets and their books."""
