"""Rules of webhooks that need nothing but their arguments: signatures, addresses, pauses, the shapes of events."""
