"""What `getProgramAccounts` may be narrowed by: the size of an account's data, and bytes at a place in it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from solders.account import Account

from apps.sandbox.chain.accounts import mint, token_account
from apps.sandbox.chain.refused import INVALID_PARAMS, Refused
from apps.sandbox.domain import base58

MOST_FILTERS = 4
Filter = Callable[[Account], bool]


def read(given: Any) -> Filter:
    """Return a test that an account passes if it passes every filter of a request.

    Raises:
        Refused: a filter is of no known kind.
    """
    if given is not None and (not isinstance(given, list) or len(given) > MOST_FILTERS):
        raise Refused(INVALID_PARAMS, f"Too many filters provided; max {MOST_FILTERS}")
    tests = [_one(each) for each in given or []]
    return lambda account: all(test(account) for test in tests)


def _one(given: Any) -> Filter:
    match given:
        case {"dataSize": int(size)}:
            return lambda account: len(account.data) == size
        case {"memcmp": {"offset": int(offset), "bytes": str(text), **rest}}:
            wanted = _bytes(text, str(rest.get("encoding", "base58")))
            return lambda account: bytes(account.data[offset : offset + len(wanted)]) == wanted
        case "tokenAccountState" | {"tokenAccountState": _}:
            return lambda account: token_account(account) is not None or mint(account) is not None
    raise Refused(INVALID_PARAMS, "Invalid params: unknown filter")


def _bytes(text: str, encoding: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if encoding == "base64" else base58.decode(text)
    except (ValueError, binascii.Error):
        raise Refused(INVALID_PARAMS, f"Invalid params: the bytes of a filter are not {encoding}") from None
