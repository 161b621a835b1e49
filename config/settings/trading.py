"""Limits of the trading engine an operator may set."""

from config.env import env

MAX_SIGNAL_AGE_SECONDS = env.max_signal_age_seconds
MAX_ENTRY_DRIFT_PERCENT = env.max_entry_drift_percent
MAX_OPEN_POSITIONS = env.max_open_positions
SIGNALS_PER_MINUTE = env.signals_per_minute
DEMO_DESK = env.soldesk_demo
SANDBOX_SIGNAL_KEY = env.sandbox_signal_key.get_secret_value()
