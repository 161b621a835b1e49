"""Limits of the trading engine an operator may set."""

from config.env import env

MAX_SIGNAL_AGE_SECONDS = env.max_signal_age_seconds
MAX_ENTRY_DRIFT_PERCENT = env.max_entry_drift_percent
MAX_OPEN_POSITIONS = env.max_open_positions
#: 0 never writes a dead token off by itself: an operator does, or nobody.
WRITE_OFF_AFTER_MINUTES = env.write_off_after_minutes
WRITE_OFF_MINIMUM_CHECKS = env.write_off_minimum_checks
SIGNALS_PER_MINUTE = env.signals_per_minute
DEMO_DESK = env.soldesk_demo
SANDBOX_SIGNAL_KEY = env.sandbox_signal_key.get_secret_value()
