"""A quote as the books keep it: its routes and its whole answer as JSON text, made once however many share it."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from apps.trading.domain.fills import Quote


@dataclass(frozen=True, slots=True)
class QuoteText:
    """JSON text for the columns `routes` and `swap_payload` of a transaction."""

    quote: Quote
    routes: str
    payload: str


class QuoteTexts:
    """The texts of the quotes of one booking."""

    def __init__(self) -> None:
        self._made: dict[int, QuoteText] = {}

    def of(self, quote: Quote) -> QuoteText:
        """Return a quote's texts; what JSON does not know (Decimal, times) is written as text."""
        known = self._made.get(id(quote))  # each entry keeps its quote, so that the id stays its own
        if known is None:
            known = self._made[id(quote)] = of(quote)
        return known


def of(quote: Quote) -> QuoteText:
    """Return the texts of one quote."""
    routes = {"routePlan": quote.payload.get("routePlan", [])}
    return QuoteText(quote, _text(routes), _text(dict(quote.payload)))


def _text(value: object) -> str:
    return orjson.dumps(value, default=str).decode()
