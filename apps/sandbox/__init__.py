"""The sandbox: a local market behind the wire shapes of the real providers.

It stands apart: it imports nothing of the product but `core`'s pure modules, and nothing imports it.
Start at `server.py`.
"""
