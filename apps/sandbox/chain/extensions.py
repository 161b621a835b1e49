"""Extensions of Token-2022 as nodes tell them: what stands behind the part both token programs share.

A list of numbers, lengths and contents. One that nobody here reads is told by its name alone, as nodes do with those
they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any

from solders.pubkey import Pubkey

#: Behind the shared part and the byte that says what the account is.
LISTED_FROM = 166
_HEADER_BYTES = 4
_NOBODY = bytes(32)


def presented(data: bytes) -> list[dict[str, Any]]:
    """Return the extensions of an account's data as jsonParsed tells them."""
    return [_told(number, content) for number, content in listed(data)]


def listed(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the numbers and contents of an account's extensions, as far as they are whole."""
    place = LISTED_FROM
    while place + _HEADER_BYTES <= len(data):
        number, length = unpack_from("<HH", data, place)
        content = data[place + _HEADER_BYTES : place + _HEADER_BYTES + length]
        if number == 0 or len(content) < length:
            return
        yield number, content
        place += _HEADER_BYTES + length


def _told(number: int, content: bytes) -> dict[str, Any]:
    name, read = _KNOWN.get(number, ("unparseableExtension", None))
    return {"extension": name} if read is None else {"extension": name, "state": read(content)}


def _key(content: bytes, place: int = 0) -> str | None:
    raw = content[place : place + 32]
    return None if raw == _NOBODY else str(Pubkey(raw))


def _whole(content: bytes, place: int, form: str = "<Q") -> int:
    return int(unpack_from(form, content, place)[0])


def _fee(content: bytes, place: int) -> dict[str, int]:
    epoch, most, bps = unpack_from("<QQH", content, place)
    return {"epoch": epoch, "maximumFee": most, "transferFeeBasisPoints": bps}


def _transfer_fee(content: bytes) -> dict[str, Any]:
    return {
        "transferFeeConfigAuthority": _key(content),
        "withdrawWithheldAuthority": _key(content, 32),
        "withheldAmount": _whole(content, 64),
        "olderTransferFee": _fee(content, 72),
        "newerTransferFee": _fee(content, 90),
    }


def _interest(content: bytes) -> dict[str, Any]:
    return {
        "rateAuthority": _key(content),
        "initializationTimestamp": _whole(content, 32, "<q"),
        "preUpdateAverageRate": _whole(content, 40, "<h"),
        "lastUpdateTimestamp": _whole(content, 42, "<q"),
        "currentRate": _whole(content, 50, "<h"),
    }


def _pointer(name: str) -> Callable[[bytes], dict[str, Any]]:
    return lambda content: {"authority": _key(content), name: _key(content, 32)}


def _metadata(content: bytes) -> dict[str, Any]:
    place = 64
    texts: list[str] = []

    def text() -> str:
        nonlocal place
        length = _whole(content, place, "<I")
        place += 4 + length
        return content[place - length : place].decode("utf-8", "replace")

    texts = [text() for _ in range(3)]
    pairs = _whole(content, place, "<I")
    place += 4
    return {
        "updateAuthority": _key(content),
        "mint": _key(content, 32),
        "name": texts[0],
        "symbol": texts[1],
        "uri": texts[2],
        "additionalMetadata": [[text(), text()] for _ in range(pairs)],
    }


_STATES = ("uninitialized", "initialized", "frozen")
_KNOWN: dict[int, tuple[str, Callable[[bytes], dict[str, Any]] | None]] = {
    1: ("transferFeeConfig", _transfer_fee),
    2: ("transferFeeAmount", lambda content: {"withheldAmount": _whole(content, 0)}),
    3: ("mintCloseAuthority", lambda content: {"closeAuthority": _key(content)}),
    6: ("defaultAccountState", lambda content: {"accountState": _STATES[content[0] % len(_STATES)]}),
    7: ("immutableOwner", None),
    8: ("memoTransfer", lambda content: {"requireIncomingTransferMemos": bool(content[0])}),
    9: ("nonTransferable", None),
    10: ("interestBearingConfig", _interest),
    11: ("cpiGuard", lambda content: {"lockCpi": bool(content[0])}),
    12: ("permanentDelegate", lambda content: {"delegate": _key(content)}),
    13: ("nonTransferableAccount", None),
    14: ("transferHook", lambda content: {"authority": _key(content), "programId": _key(content, 32)}),
    15: ("transferHookAccount", lambda content: {"transferring": bool(content[0])}),
    18: ("metadataPointer", _pointer("metadataAddress")),
    19: ("tokenMetadata", _metadata),
    20: ("groupPointer", _pointer("groupAddress")),
    22: ("groupMemberPointer", _pointer("memberAddress")),
    26: ("pausableConfig", lambda content: {"authority": _key(content), "paused": bool(content[32])}),
    27: ("pausableAccount", None),
}
