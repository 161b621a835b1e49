"""The trading rules as pure functions: what to buy, how much, at what cost, when to sell, what it earned.

Standard library, `apps.core.money` and the configuration's types only. No clock, no network, no database; draws, times
and prices are passed in. Money is Decimal or integer base units, computed in the 60-digit context.
"""
