"""Django finds console's admin pages here; they live in `apps.console.pages`."""

from apps.console.pages import agents, people, schedules, signals, wallets, webhooks

__all__ = ["agents", "people", "schedules", "signals", "wallets", "webhooks"]
