"""Telling the people who hold a token what they must know: a feed message of kind "alert" for each holder.

Codes and sentences belong to whoever raises them; they are listed in docs/running.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.core import outbox
from apps.trading.selectors import watched


@dataclass(frozen=True, slots=True)
class Alert:
    """One sentence about several tokens: `symbols` by mint."""

    code: str
    message: str
    symbols: Mapping[str, str]


def tell_holders(*alerts: Alert) -> None:
    """Tell each user with open positions in an alert's tokens, in the caller's transaction.

    Call it last and once, as any append to the outbox: it locks the users' streams until commit.
    """
    mints = {mint for alert in alerts for mint in alert.symbols}
    if not mints:
        return
    owners = watched.owners_of(mints)
    outbox.append(
        outbox.Message(
            outbox.user_stream(user_id),
            "alert",
            {"code": alert.code, "message": alert.message, "mint": mint, "symbol": alert.symbols[mint]},
        )
        for alert in alerts
        for mint in sorted(alert.symbols)
        for user_id in owners.get(mint, ())
    )
