"""How one copy of Soldesk runs on one machine: embedded PostgreSQL and Redis, and the supervisor behind `make up`.

Nothing here imports Django: the children do, and they learn all they need from their environment.
Start with `__main__.py` (commands), then `supervisor.py` (processes) and `embedded.py` (services for tests).
"""
