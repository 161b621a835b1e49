"""Doors of trading to wallets: what ends a wallet's trading, by beginning anew or by giving the wallet back."""

from __future__ import annotations

import time
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent
from apps.agents.models import TradingMode
from apps.core.api.openapi import IDEMPOTENCY, answers
from apps.core.errors import Invalid
from apps.trading.api import shapes
from apps.trading.services import wallet_release, wallet_reset
from apps.trading.services.wallet_reset import ResetCounts
from apps.wallets import selectors as wallets
from apps.wallets.api import limits
from apps.wallets.domain import addresses
from apps.wallets.errors import NotALiveWallet
from apps.wallets.models import Wallet

_REFUSALS = (
    "400 CONFIRMATION_REQUIRED",
    "404 WALLET_NOT_FOUND",
    "409 ORDERS_OPEN",
    "409 WALLET_RELEASED",
    "429 RATE_LIMITED",
)


@extend_schema(tags=["wallets"])
class ResetWallet(APIView):
    @extend_schema(
        summary="Begin a wallet anew: positions closed, books start over",
        description="The old books stay as history. A simulation wallet is empty then; a live one begins with what the"
        " chain holds.",
        operation_id="reset_wallet",
        parameters=[IDEMPOTENCY],
        request=shapes.ResetBody,
        responses=answers(shapes.ResetShape, *_REFUSALS, "409 WALLET_BUSY", "502 RPC_ERROR"),
    )
    def post(self, request: Request, address: str) -> Response:
        limits.check(request)
        _confirm(request, "a reset closes the wallet's positions and empties its books")
        wallet = wallets.get_owned_wallet(user=caller(request), address=address)
        reset = _reset_live if wallet.wallet_type == TradingMode.LIVE else _reset
        return reset(self, request, wallet)


def _work(_view: ResetWallet, request: Request, wallet: Wallet) -> Response:
    started = time.perf_counter()
    ended = wallet_reset.reset_wallet(wallet=wallet, actor=caller(request))
    return _answer("The wallet was reset.", wallet, ended, started)


_reset = idempotent(books_at_once=True)(_work)
#: Asks the chain first, which no transaction may wait for.
_reset_live = idempotent(books_at_once=False)(_work)


@extend_schema(tags=["wallets"])
class UnassignWallet(APIView):
    @extend_schema(
        summary="Take a live wallet from its agent: as a reset, and the address is free",
        operation_id="unassign_wallet",
        parameters=[IDEMPOTENCY],
        request=shapes.ResetBody,
        responses=answers(shapes.ResetShape, *_REFUSALS, "400 SIMULATION_WALLET"),
    )
    @idempotent(books_at_once=True)
    def post(self, request: Request, address: str) -> Response:
        limits.check(request)
        if addresses.is_marked(address):
            raise NotALiveWallet
        _confirm(request, "unassigning closes the wallet's positions without a sale and ends its books")
        wallet = wallets.get_owned_wallet(user=caller(request), address=address)
        started = time.perf_counter()
        ended = wallet_release.unassign_wallet(wallet=wallet, actor=caller(request))
        return _answer("The wallet was unassigned.", wallet, ended, started)


def _confirm(request: Request, what: str) -> None:
    if shapes.ResetBody.read(request).get("confirm") is not True:
        message = f'Send {{"confirm": true}}: {what}.'
        raise Invalid("CONFIRMATION_REQUIRED", "Confirmation required", extra={"message": message})


def _answer(message: str, wallet: Wallet, ended: ResetCounts, started: float) -> Response:
    body: dict[str, Any] = {
        "success": True,
        "message": message,
        "walletAddress": wallet.address,
        "deleted": shapes.DeletedShape.present(ended),
        "duration": round((time.perf_counter() - started) * 1000),
    }
    return Response(body)
