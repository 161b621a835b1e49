"""Doors of wallets: listing, assigning, looking for deposits. Reset and unassign end trading and are `trading`'s."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.idempotency import idempotent
from apps.agents import selectors as agents
from apps.agents.models import TradingMode
from apps.core import formatting
from apps.core.api.openapi import IDEMPOTENCY, answers
from apps.core.api.shapes import path_uuid
from apps.wallets import selectors
from apps.wallets.api import limits
from apps.wallets.api import wallet_shapes as shapes
from apps.wallets.domain import addresses
from apps.wallets.errors import NotALiveWallet
from apps.wallets.services import assignments, chain_deposits
from apps.wallets.services.chain_deposits import DepositCheck


@extend_schema(tags=["wallets"])
class AgentWallets(APIView):
    @extend_schema(
        summary="The wallets of an agent, newest first, and the live keys it could be given",
        description="Live keys are told to staff, and to those whom an operator allowed them.",
        operation_id="list_wallets",
        responses=answers(shapes.WalletsShape, "400 INVALID_AGENT_ID", "404 AGENT_NOT_FOUND"),
    )
    def get(self, request: Request, agent_id: str) -> Response:
        agent = agents.get_agent(user=caller(request), agent_id=path_uuid(agent_id, "agentId"))
        rows = list(selectors.list_wallets(agent=agent))
        mine = {row.address for row in rows}
        loaded = selectors.loaded_addresses(mine)
        shown = [
            {
                **shapes.WalletShape.present(row),
                "isAvailable": row.wallet_type == TradingMode.SIMULATION or row.address in loaded,
            }
            for row in rows
        ]
        free = [
            {"walletAddress": key.address, "isAssigned": key.address in mine, "network": key.network}
            for key in selectors.assignable_keys(user=caller(request))
        ]
        return Response({"agentWallets": shown, "availableWallets": free})


@extend_schema(tags=["wallets"])
class AssignWallet(APIView):
    @extend_schema(
        summary="Give an agent a wallet",
        description="201 for its first wallet of this type. 200 when another one makes room: its books stay as history,"
        " the new wallet begins with its own; and when it was assigned already, which changes nothing.",
        operation_id="assign_wallet",
        parameters=[IDEMPOTENCY],
        request=shapes.AssignBody,
        responses={
            200: shapes.AssignedShape,
            **answers(
                shapes.AssignedShape,
                "400 VALIDATION_ERROR",
                "400 WALLET_NOT_LOADED",
                "400 SIMULATION_ADDRESS",
                "400 LIVE_ADDRESS",
                "404 AGENT_NOT_FOUND",
                "409 WALLET_IN_USE",
                "409 POSITIONS_OPEN",
                "409 ORDERS_OPEN",
                "429 RATE_LIMITED",
                status=201,
            ),
        },
    )
    @idempotent(books_at_once=True)
    def post(self, request: Request) -> Response:
        limits.check(request)
        body = shapes.AssignBody.read(request)
        agent = agents.get_agent(user=caller(request), agent_id=body["agent_id"])
        made = assignments.assign_wallet(
            agent=agent, address=body["wallet_address"], wallet_type=body["wallet_type"], actor=caller(request)
        )
        answer = {
            "success": True,
            "walletAddress": made.wallet.address,
            "walletType": made.wallet.wallet_type,
            "network": made.network,
            "message": "The wallet is assigned to the agent.",
        }
        return Response(answer, status=201 if made.first else 200)


@extend_schema(tags=["wallets"])
class CheckDeposits(APIView):
    @extend_schema(
        summary="Compare a live wallet with the chain and book what came or left",
        description="Every lamport of difference is booked; a deposit is what exceeds 0.00001 SOL.",
        operation_id="check_deposits",
        parameters=[IDEMPOTENCY],
        request=shapes.CheckBody,
        responses=answers(
            shapes.CheckShape,
            "400 INVALID_AGENT_ID",
            "400 SIMULATION_WALLET",
            "403 AGENT_NOT_YOURS",
            "404 AGENT_NOT_FOUND",
            "404 WALLET_NOT_FOUND",
            "409 ORDERS_OPEN",
            "409 WALLET_BUSY",
            "409 WALLET_RELEASED",
            "429 RATE_LIMITED",
            "502 RPC_ERROR",
            "503 CHAIN_NOT_CONFIGURED",
        ),
    )
    @idempotent(books_at_once=False)
    def post(self, request: Request, address: str) -> Response:
        limits.check(request)
        body = shapes.CheckBody.read(request)
        agent = agents.get_agent_or_deny(user=caller(request), agent_id=body["agent_id"])
        if addresses.is_marked(address):
            raise NotALiveWallet
        wallet = selectors.get_wallet(agent=agent, address=address)
        found = chain_deposits.check_deposits(wallet=wallet, actor=caller(request))
        return Response(
            {
                "success": True,
                "depositDetected": found.deposited_sol is not None,
                "previousBalance": found.before_sol,
                "onChainBalance": found.on_chain_sol,
                "depositAmount": found.deposited_sol,
                "withdrawalAmount": found.withdrawn_sol,
                "transactionId": found.transaction_id,
                "message": _told(found),
            }
        )


def _told(found: DepositCheck) -> str:
    if found.deposited_sol is not None:
        return f"{formatting.exact(found.deposited_sol)} SOL came in."
    if found.withdrawn_sol is not None:
        return f"{formatting.exact(found.withdrawn_sol)} SOL left the wallet without the desk."
    return "No new deposit."
