"""What a mint allows whoever made it: authorities that were kept, and the extensions of Token-2022.

Most tokens are harmless. Some of the demo market are not, so that whoever looks before buying has something to find.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from apps.sandbox.domain import noise


class MintExtension(StrEnum):
    """An extension of Token-2022 that can hurt a holder."""

    TRANSFER_FEE = "transfer_fee"
    PERMANENT_DELEGATE = "permanent_delegate"
    TRANSFER_HOOK = "transfer_hook"
    NON_TRANSFERABLE = "non_transferable"
    DEFAULT_FROZEN = "default_frozen"
    MINT_CLOSE_AUTHORITY = "mint_close_authority"


#: What the token takes of every transfer that has a transfer fee.
TRANSFER_FEE_BPS = 300
#: The chance that a demo token's maker kept an authority, or used the newer program.
_KEPT_MINT_AUTHORITY, _KEPT_FREEZE_AUTHORITY, _NEWER_PROGRAM = 0.1, 0.05, 0.2
#: One demo token of so many has an extension, each kind in turn.
_EXTENDED_EVERY = 4


@dataclass(frozen=True, slots=True)
class MintRules:
    """Which authorities a mint kept, whether it is one of Token-2022, and with which extensions."""

    mint_authority: bool = False
    freeze_authority: bool = False
    token_2022: bool = False
    extensions: tuple[MintExtension, ...] = ()

    @classmethod
    def of(
        cls, *, mint_authority: bool, freeze_authority: bool, token_2022: bool, extensions: Iterable[MintExtension]
    ) -> Self:
        """Return rules that hold together: extensions are Token-2022's, and only who may freeze freezes by default."""
        listed = tuple(dict.fromkeys(extensions))
        frozen = MintExtension.DEFAULT_FROZEN in listed
        return cls(mint_authority, freeze_authority or frozen, token_2022 or bool(listed), listed)

    @classmethod
    def of_demo_token(cls, index: int, *draw: object) -> Self:
        """Return the rules that fall to a token of the demo market, by its number and by its draw."""
        kinds = tuple(MintExtension)
        turn, rest = divmod(index + 1, _EXTENDED_EVERY)
        return cls.of(
            mint_authority=noise.uniform(*draw, "mint authority") < _KEPT_MINT_AUTHORITY,
            freeze_authority=noise.uniform(*draw, "freeze authority") < _KEPT_FREEZE_AUTHORITY,
            token_2022=noise.uniform(*draw, "program") < _NEWER_PROGRAM,
            extensions=() if rest else (kinds[(turn - 1) % len(kinds)],),
        )

    @classmethod
    def from_document(cls, document: dict[str, Any] | None) -> Self:
        """Return rules as `dataclasses.asdict` wrote them; a document of an older market has none."""
        if document is None:
            return cls()
        return cls.of(
            mint_authority=bool(document["mint_authority"]),
            freeze_authority=bool(document["freeze_authority"]),
            token_2022=bool(document["token_2022"]),
            extensions=[MintExtension(name) for name in document["extensions"]],
        )


HARMLESS = MintRules()
