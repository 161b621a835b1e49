"""How a node says no: a code, a message and sometimes data, as JSON-RPC tells them."""

from __future__ import annotations

from typing import Any

INVALID_PARAMS = -32602


class Refused(Exception):
    """Something the node does not take."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data
