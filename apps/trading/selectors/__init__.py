"""Reads of trading, one room a topic."""
