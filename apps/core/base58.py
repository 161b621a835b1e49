"""Base58 as Solana writes addresses. Pure."""

from __future__ import annotations

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_ADDRESS_BYTES = 32


def encode(data: bytes) -> str:
    """Return `data` in base58; each leading zero byte is a leading `1`.

    >>> encode(bytes(2) + b"soldesk")
    '115NikFjrUFk'
    """
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, rest = divmod(number, 58)
        digits = _ALPHABET[rest] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def decode(text: str) -> bytes:
    """Return the bytes of `text` in base58.

    Raises:
        ValueError: a character base58 does not have.

    >>> decode("115NikFjrUFk")
    b'\\x00\\x00soldesk'
    """
    number = 0
    for character in text:
        if character not in _VALUES:
            raise ValueError("not a character of base58")
        number = number * 58 + _VALUES[character]
    return bytes(len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def is_address(text: str) -> bool:
    """Whether `text` is the base58 of exactly 32 bytes: a public key, as every mint is.

    >>> is_address("So11111111111111111111111111111111111111112"), is_address("So111")
    (True, False)
    """
    if not 32 <= len(text) <= 44 or any(character not in _VALUES for character in text):
        return False
    number = 0
    for character in text:
        number = number * 58 + _VALUES[character]
    leading = len(text) - len(text.lstrip("1"))
    return leading + (number.bit_length() + 7) // 8 == _ADDRESS_BYTES
