"""Doors of agents and their configuration."""
