"""Doors of the signer's keys, for operators. Private keys pass through none of them."""

from __future__ import annotations

from decimal import Decimal

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import caller
from apps.accounts.api.second_factor_views import CODE_REFUSED
from apps.accounts.models import User
from apps.core import base58
from apps.core.api.openapi import answers
from apps.core.errors import Denied, NotFound
from apps.core.money import LAMPORTS_PER_SOL
from apps.wallets import selectors
from apps.wallets.api import key_shapes as shapes
from apps.wallets.api import limits
from apps.wallets.services import key_care

_BARRED = ("403 OPERATORS_ONLY", "503 SIGNER_UNAVAILABLE")
_CHANGE = ("400 VALIDATION_ERROR", "429 RATE_LIMITED", *_BARRED)
_PASSPHRASE = ("400 PASSPHRASE_WRONG", "400 KEY_UNREADABLE", "404 KEY_NOT_FOUND", "409 KEY_FROM_ENVIRONMENT")


@extend_schema(tags=["wallets"])
class Signer(APIView):
    @extend_schema(
        summary="What the signer holds, and what of its caps is used up",
        operation_id="get_signer",
        responses=answers(shapes.SignerShape, *_BARRED),
    )
    def get(self, request: Request) -> Response:
        _operator(request)
        told = key_care.status()
        return Response(
            {
                "keys": [shapes.HeldKeyShape.present(key) for key in told.keys],
                "network": told.network,
                "maxTradeSol": _sol(told.max_trade_lamports),
                "maxDaySol": _sol(told.max_day_lamports),
                "spentDaySol": _sol(told.spent_day_lamports),
                "riskedDaySol": _sol(told.risked_day_lamports),
                "maxSlippageBps": told.max_slippage_bps,
                "maxFeeSol": _sol(told.max_fee_lamports),
                "nodes": told.nodes,
                "programs": told.programs,
                "notes": list(told.notes),
            }
        )


@extend_schema(tags=["wallets"])
class Keys(APIView):
    @extend_schema(
        summary="The live keys I may assign",
        description="Staff see every loaded key, others those an operator allowed them.",
        operation_id="list_keys",
        responses=answers(shapes.KeyShape(many=True)),
    )
    def get(self, request: Request) -> Response:
        shown = [shapes.KeyShape.present(key) for key in selectors.assignable_keys(user=caller(request))]
        return Response(shown, headers={"X-Total-Count": str(len(shown))})

    @extend_schema(
        summary="Have the signer make a key and keep it in a file under a passphrase",
        operation_id="create_key",
        request=shapes.NewKeyBody,
        responses=answers(shapes.HeldKeyShape, "400 PASSPHRASE_WEAK", *_CHANGE, status=201),
    )
    def post(self, request: Request) -> Response:
        actor, body = _changing(request), shapes.NewKeyBody.read(request)
        made = key_care.create_key(name=body["name"], passphrase=body["passphrase"], actor=actor)
        return Response(shapes.HeldKeyShape.present(made), status=201)


@extend_schema(tags=["wallets"])
class ImportKey(APIView):
    @extend_schema(
        summary="Give the signer an encrypted key file; it stays locked",
        description="A key that is not encrypted yet is taken in on the signer's machine: `manage.py wallet import`.",
        operation_id="import_key",
        request=shapes.ImportKeyBody,
        responses=answers(shapes.HeldKeyShape, "400 KEY_UNREADABLE", "409 KEY_EXISTS", *_CHANGE, status=201),
    )
    def post(self, request: Request) -> Response:
        actor, body = _changing(request), shapes.ImportKeyBody.read(request)
        return Response(shapes.HeldKeyShape.present(key_care.import_key(file=body["file"], actor=actor)), status=201)


@extend_schema(tags=["wallets"])
class UnlockKey(APIView):
    @extend_schema(
        summary="Open a key with its passphrase",
        operation_id="unlock_key",
        request=shapes.UnlockBody,
        responses=answers(shapes.HeldKeyShape, *_PASSPHRASE, "423 PASSPHRASE_LOCKED", *_CHANGE),
    )
    def post(self, request: Request, address: str) -> Response:
        actor, body = _changing(request), shapes.UnlockBody.read(request)
        opened = key_care.unlock_key(address=_named(address), passphrase=body["passphrase"], actor=actor)
        return Response(shapes.HeldKeyShape.present(opened))


@extend_schema(tags=["wallets"])
class LockKey(APIView):
    @extend_schema(
        summary="Have the signer forget a key until it is unlocked again",
        description="A key of its environment comes back when the signer is started again.",
        operation_id="lock_key",
        request=None,
        responses=answers(shapes.HeldKeyShape, "404 KEY_NOT_FOUND", *_CHANGE),
    )
    def post(self, request: Request, address: str) -> Response:
        actor = _changing(request)
        return Response(shapes.HeldKeyShape.present(key_care.lock_key(address=_named(address), actor=actor)))


@extend_schema(tags=["wallets"])
class ExportKey(APIView):
    @extend_schema(
        summary="Get a key's file, encrypted under its passphrase",
        description="For whoever proves the passphrase and their second factor; the audit log has it before it leaves.",
        operation_id="export_key",
        request=shapes.ExportBody,
        responses=answers(
            shapes.KeyFileShape,
            *_PASSPHRASE,
            *(code for code in CODE_REFUSED if code != "400 INVALID_TOTP_CODE"),
            "423 PASSPHRASE_LOCKED",
            *_CHANGE,
        ),
    )
    def post(self, request: Request, address: str) -> Response:
        actor, body = _changing(request), shapes.ExportBody.read(request)
        file = key_care.export_key(
            address=_named(address), passphrase=body["passphrase"], code=body["totp_code"], actor=actor
        )
        return Response({"walletAddress": address, "file": file})


def _operator(request: Request) -> User:
    user = caller(request)
    if not user.is_staff:
        raise Denied("OPERATORS_ONLY", "Only operators look after the signer.")
    return user


def _changing(request: Request) -> User:
    user = _operator(request)
    limits.check(request)
    return user


def _sol(lamports: int) -> Decimal:
    return Decimal(lamports) / LAMPORTS_PER_SOL


def _named(address: str) -> str:
    """Return the address of a route; what is none names no key.

    Raises:
        NotFound: KEY_NOT_FOUND.
    """
    if not base58.is_address(address):
        raise NotFound("KEY_NOT_FOUND", "The signer holds no such key.")
    return address
