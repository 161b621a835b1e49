"""Measurements against a running desk: `manage.py bench <what>`. Figures are ratios and percentiles, never promises."""
