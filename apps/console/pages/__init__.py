"""Admin pages that join several apps: agents, wallets and signals with what others know of them; schedules; workers."""
