"""Doors of trading signals."""
