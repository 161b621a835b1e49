"""Base58 as Solana writes keys: 32 bytes become 32 to 44 characters, and back."""

from __future__ import annotations

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
KEY_BYTES = 32

_DIGIT = {character: value for value, character in enumerate(ALPHABET)}


def encode(raw: bytes) -> str:
    """Return the base58 text of `raw`; each leading zero byte becomes a leading '1'.

    >>> encode(bytes(32))
    '11111111111111111111111111111111'
    """
    number = int.from_bytes(raw, "big")
    digits = []
    while number:
        number, remainder = divmod(number, 58)
        digits.append(ALPHABET[remainder])
    leading_zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * leading_zeros + "".join(reversed(digits))


def decode(text: str) -> bytes:
    """Return the bytes of a base58 text.

    Raises:
        ValueError: a character is none of base58.

    >>> decode("11111111111111111111111111111111") == bytes(32)
    True
    """
    number = 0
    for character in text:
        digit = _DIGIT.get(character)
        if digit is None:
            raise ValueError(f"{character!r} is no character of base58")
        number = number * 58 + digit
    leading_ones = len(text) - len(text.lstrip("1"))
    return bytes(leading_ones) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def is_key(text: str) -> bool:
    """Say whether `text` is base58 for exactly 32 bytes, the form of every mint and address.

    >>> is_key("So11111111111111111111111111111111111111112"), is_key("not-a-key")
    (True, False)
    """
    if not 32 <= len(text) <= 44:
        return False
    number = 0
    for character in text:
        digit = _DIGIT.get(character)
        if digit is None:
            return False
        number = number * 58 + digit
    leading_ones = len(text) - len(text.lstrip("1"))
    return leading_ones + (number.bit_length() + 7) // 8 == KEY_BYTES
