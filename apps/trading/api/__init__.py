"""Doors of trading: positions, closed trades, buys by hand, resets, the trading state, performance."""
