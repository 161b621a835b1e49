"""The outside world of prices: Jupiter, DexScreener, Pyth, and the newest prices in Redis."""
