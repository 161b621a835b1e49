"""What schemathesis needs to know of this desk: who calls, which objects exist, and what a 400 may mean.

Loaded by schemathesis (SCHEMATHESIS_HOOKS) in a process whose Django is set up on the desk under test, so that tokens
and ids are taken from it directly. A token is made for every request: signing out is one of the operations.
"""

from __future__ import annotations

import os
import random
from functools import cache
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import schemathesis  # noqa: E402 - Django first
from django.utils import timezone  # noqa: E402
from schemathesis.core.failures import Failure  # noqa: E402

from apps.accounts import tokens  # noqa: E402
from apps.accounts.models import ApiKey, User  # noqa: E402
from apps.agents.models import Agent  # noqa: E402
from apps.core.api.fields import says_something  # noqa: E402
from apps.signals.models import TradingSignal  # noqa: E402
from apps.trading.models import ClosedTrade, Position  # noqa: E402
from apps.wallets.models import Balance, Transaction, Wallet  # noqa: E402

OWNER = os.environ.get("FUZZ_OWNER", "admin@soldesk.local")
#: Of the requests that are well formed, how many are about objects that exist.
REAL = 0.8
_dice = random.Random(int(os.environ.get("FUZZ_SEED", "1")))

#: Rows a parameter or a field of a body may name, by its name; each belongs to the owner.
_POOLS: dict[str, Any] = {
    "agentId": lambda: Agent.objects.filter(user__email=OWNER, archived_at=None).values_list("pk", flat=True),
    "signalId": lambda: TradingSignal.objects.filter(user__email=OWNER).values_list("pk", flat=True),
    "positionId": lambda: Position.objects.filter(closed_at=None).values_list("pk", flat=True),
    "balanceId": lambda: Balance.objects.values_list("pk", flat=True),
    "transactionId": lambda: Transaction.objects.values_list("pk", flat=True),
    "tradeId": lambda: ClosedTrade.objects.values_list("pk", flat=True),
    "keyId": lambda: ApiKey.objects.values_list("pk", flat=True),
    "address": lambda: Wallet.objects.filter(released_at=None).values_list("address", flat=True),
    "walletAddress": lambda: Wallet.objects.filter(released_at=None).values_list("address", flat=True),
}
#: Codes that say "your request is malformed"; other 400s are refusals by a rule.
_MALFORMED = ("INVALID_", "VALIDATION_ERROR", "MALFORMED_JSON", "BAD_REQUEST")
#: What JSON Schema cannot say, by the words of the refusal: places of a number, rules between fields, checksums of
#: addresses, hosts of webhooks, rows that must be one's own, cursors of another list.
_BEYOND_SCHEMA = (
    "decimal places",
    "INVALID_CONFIG",
    "INVALID_TOKEN_SAFETY",
    "INVALID_MINT",
    "INVALID_CURSOR",
    "INVALID_URL",
    "INVALID_AGENT_IDS",
    "must be an address or a network",
    "must be a Solana address",
    "must not be after",
    "must not be before",
    "is required for a",
    "must lie in the future",
    "time of this century",
)


@cache
def _owner() -> User:
    return User.objects.get(email=OWNER)


@schemathesis.auth(refresh_interval=None)
class Owner:
    """Signs every request as the owner, with a token of its own."""

    def get(self, case: Any, context: Any) -> str:
        return tokens.access_token(_owner(), family_id=None, now=timezone.now())

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let well-formed requests be about objects that exist, mostly, and no wrong password bar the rest."""
    if "/auth/" in case.path:
        User.objects.filter(locked_until__isnull=False).update(locked_until=None, failed_logins=0)
    if case.meta is None or not case.meta.generation.mode.is_positive or _dice.random() > REAL:
        return
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            for name in part.keys() & _POOLS.keys():
                found = _POOLS[name]().order_by("?").first()
                if found is not None and part[name] is not None:
                    part[name] = found if isinstance(found, int) else str(found)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop what the document allows in words: a query parameter that shows nothing counts as absent."""
    return not (failure.code == "ST201" and isinstance(case.query, dict) and any(map(_absent, case.query.values())))


def _absent(given: Any) -> bool:
    """Tell whether a query parameter is sent, and counts as absent; of several, the last counts."""
    last = given[-1] if isinstance(given, list) and given else given
    return isinstance(last, str) and not says_something(last)


class CalledMalformed(Failure):
    """A request that the document allows was refused as malformed."""

    __slots__ = ("operation",)


@schemathesis.check
def allowed_requests_are_not_malformed(ctx: Any, response: Any, case: Any) -> None:
    """A request as the document allows it may be refused by a rule of trading, never as malformed."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    body = response.json()
    code, words = body.get("code", ""), str(body)
    if code.startswith(_MALFORMED) and not any(known in words for known in _BEYOND_SCHEMA):
        raise CalledMalformed(operation=case.operation.label, title="Allowed, but refused as malformed", message=words)
