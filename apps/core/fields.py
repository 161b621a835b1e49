"""Column types with the precision the books need (numeric, never float)."""

from __future__ import annotations

from typing import Any

from django.db import models


class _Numeric(models.DecimalField):
    digits: int
    places: int

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("max_digits", self.digits)
        options.setdefault("decimal_places", self.places)
        super().__init__(*args, **options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        options.pop("max_digits", None)
        options.pop("decimal_places", None)
        return name, path, args, options


class BaseUnitsField(_Numeric):
    """Base units of a token (lamports for SOL) as on chain: a whole number up to 2^64 - 1, numeric(20,0)."""

    digits, places = 20, 0


class AmountField(_Numeric):
    """Whole tokens, numeric(38,18)."""

    digits, places = 38, 18


class PriceField(_Numeric):
    """SOL per whole token, numeric(40,24): 6.632e-11 SOL is an ordinary price."""

    digits, places = 40, 24


class SolField(_Numeric):
    """SOL to the lamport, numeric(29,9)."""

    digits, places = 29, 9


class UsdField(_Numeric):
    """US dollars, numeric(28,8)."""

    digits, places = 28, 8


class PercentField(_Numeric):
    """Percent on the 0-100 scale, numeric(20,8)."""

    digits, places = 20, 8


class MintField(models.CharField):
    """A token's mint address: case-sensitive base58, never lower-cased."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("max_length", 64)
        super().__init__(*args, **options)
