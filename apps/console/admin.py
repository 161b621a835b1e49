"""Django finds console's admin pages here; they live in `apps.console.pages`."""

from apps.console.pages import agents, schedules, signals, wallets, webhooks

__all__ = ["agents", "schedules", "signals", "wallets", "webhooks"]
