"""The position book: every open position of one shard in the memory of the worker that watches it.

numpy columns, one row per position, the rows of a token side by side. Floats screen, and may only err towards
flagging; exact decimals (`exact.py`, `domain/watch_rules.py`) decide. PostgreSQL is the truth: the book is read from it
at start and before each batch (`reading.py`), and compared with it now and then (`check.py`).
"""
