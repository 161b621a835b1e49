"""Doors of prices."""
