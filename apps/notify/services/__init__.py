"""Changes of notify: `endpoints` (people), `intake` (outbox to deliveries), `courier` (deliveries to the world)."""
