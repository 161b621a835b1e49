"""Doors of the console: health."""
