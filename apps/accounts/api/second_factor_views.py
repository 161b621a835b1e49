"""Doors of the second factor: is there one, set it up, confirm it, new recovery codes, turn it off."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import selectors
from apps.accounts.api import shapes
from apps.accounts.api.authentication import caller, session_of
from apps.accounts.services import second_factor, sign_in
from apps.core.api.openapi import Message, answers

CODE_REFUSED = ("400 INVALID_TOTP_CODE", "400 TOTP_INVALID", "409 TOTP_NOT_SET_UP", "423 ACCOUNT_LOCKED")


@extend_schema(tags=["auth"])
class Totp(APIView):
    @extend_schema(
        summary="Have I set up a second factor",
        operation_id="get_totp",
        responses=answers(shapes.TotpShape),
    )
    def get(self, request: Request) -> Response:
        user = caller(request)
        return Response(
            {
                "enabled": selectors.has_second_factor(user),
                "required": settings.REQUIRE_STAFF_TOTP and user.is_staff,
                "recoveryCodesLeft": second_factor.codes_left(user),
            }
        )

    @extend_schema(
        summary="Begin to set up a second factor: a secret for an authenticator app",
        operation_id="begin_totp",
        request=shapes.TotpBody,
        responses=answers(
            shapes.TotpSecretShape,
            "400 INVALID_PASSWORD",
            "400 WRONG_PASSWORD",
            "409 TOTP_ALREADY_ON",
            "423 ACCOUNT_LOCKED",
            status=201,
        ),
    )
    def post(self, request: Request) -> Response:
        user, body = caller(request), shapes.TotpBody.read(request)
        sign_in.confirm_password(user=user, password=body["password"])
        enrolment = second_factor.begin(user=user)
        return Response({"secret": enrolment.secret, "otpauthUrl": enrolment.url}, status=201)

    @extend_schema(
        summary="Turn my second factor off",
        operation_id="turn_off_totp",
        request=shapes.TotpOffBody,
        responses=answers(Message, "400 INVALID_PASSWORD", "400 WRONG_PASSWORD", *CODE_REFUSED),
    )
    def delete(self, request: Request) -> Response:
        user, body = caller(request), shapes.TotpOffBody.read(request)
        sign_in.confirm_password(user=user, password=body["password"])
        second_factor.turn_off(user=user, code=body["totp_code"])
        return Response({"success": True, "message": "The second factor is off."})


@extend_schema(tags=["auth"])
class TotpConfirm(APIView):
    @extend_schema(
        summary="Turn the second factor on with its first code; every other session ends",
        operation_id="confirm_totp",
        request=shapes.TotpConfirmBody,
        responses=answers(
            shapes.RecoveryCodesShape,
            "400 INVALID_CODE",
            "400 TOTP_INVALID",
            "409 TOTP_ALREADY_ON",
            "409 TOTP_NOT_SET_UP",
        ),
    )
    def post(self, request: Request) -> Response:
        body = shapes.TotpConfirmBody.read(request)
        codes = second_factor.confirm(user=caller(request), code=body["code"], keep=session_of(request))
        return Response({"recoveryCodes": codes})


@extend_schema(tags=["auth"])
class RecoveryCodes(APIView):
    @extend_schema(
        summary="New recovery codes; the old ones stop working",
        operation_id="replace_recovery_codes",
        request=shapes.RecoveryCodesBody,
        responses=answers(shapes.RecoveryCodesShape, *CODE_REFUSED),
    )
    def post(self, request: Request) -> Response:
        body = shapes.RecoveryCodesBody.read(request)
        return Response(
            {"recoveryCodes": second_factor.new_recovery_codes(user=caller(request), code=body["totp_code"])}
        )
