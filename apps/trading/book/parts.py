"""What a book is made of, handed to those who work on it."""

from __future__ import annotations

from dataclasses import dataclass

from apps.trading.book.columns import Columns
from apps.trading.book.exact import Exactly
from apps.trading.book.rules import RuleTable
from apps.trading.book.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Parts:
    """The storage, the rules, the tokens, and the way from their figures to exact ones."""

    columns: Columns
    rules: RuleTable
    tokens: Tokens
    exactly: Exactly
