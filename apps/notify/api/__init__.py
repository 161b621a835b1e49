"""Doors of notify: webhook endpoints and their deliveries."""
