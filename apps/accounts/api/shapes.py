"""Shapes of the routes of accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.accounts.domain import networks
from apps.accounts.models import Scope
from apps.core.api.fields import Choice, Flag, Identifier, Moment, Text
from apps.core.api.shapes import Body, Shape

LONGEST_PASSWORD = 4096
MOST_NETWORKS = 50


class Password(Text):
    """A password, to the last space."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "max_length": LONGEST_PASSWORD, **options})


class TotpCode(Text):
    """Six digits of an authenticator app, or a recovery code."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 32, "help_text": "Six digits, or a recovery code.", **options})


class Network(Text):
    """An address or a network of IPv4 or IPv6, in its one spelling."""

    default_error_messages = {"network": "must be an address or a network, e.g. 203.0.113.7, 10.0.0.0/8, 2001:db8::/48"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return networks.normalised(text)
        except ValueError:
            self.fail("network")


class FutureMoment(Moment):
    """A time that is yet to come."""

    default_error_messages = {"past": "must lie in the future"}

    def to_internal_value(self, data: Any) -> datetime:
        moment = super().to_internal_value(data)
        if moment <= timezone.now():
            self.fail("past")
        return moment


class LoginBody(Body):
    middleware_family = True
    email = serializers.EmailField(max_length=254)
    password = Password()
    remember_me = Flag(required=False, default=False)
    totp_code = TotpCode(required=False, allow_null=True, allow_blank=True)


class RefreshBody(Body):
    middleware_family = True
    refresh_token = Text(max_length=4096)


class LogoutBody(Body):
    refresh_token = Text(required=False, allow_null=True, allow_blank=True, max_length=4096)


class ApiKeyBody(Body):
    middleware_family = True
    name = Text(max_length=100)
    scopes = serializers.ListField(child=Choice(choices=Scope.values), allow_empty=False, max_length=50)
    expires_at = FutureMoment(required=False, allow_null=True, help_text="Until when the key works; absent: for good.")
    allowed_ips = serializers.ListField(
        child=Network(max_length=49),
        required=False,
        max_length=MOST_NETWORKS,
        help_text="Addresses and networks (CIDR, IPv4 or IPv6) the key works from; absent or empty: from anywhere.",
    )


class PasswordBody(Body):
    current_password = Password()
    new_password = Password()


class TotpBody(Body):
    password = Password(help_text="Your password once more.")


class TotpConfirmBody(Body):
    code = TotpCode()


class TotpOffBody(Body):
    password = Password(help_text="Your password once more.")
    totp_code = TotpCode()


class RecoveryCodesBody(Body):
    totp_code = TotpCode()


class UserShape(Shape):
    """A person."""

    id = Identifier()
    email = serializers.CharField()
    created_at = Moment()


class ApiKeyShape(Shape):
    """An API key without its text."""

    id = Identifier()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    created_at = Moment()
    last_used_at = Moment(allow_null=True, help_text="To the minute.")
    expires_at = Moment(allow_null=True)
    allowed_ips = serializers.ListField(child=serializers.CharField(), help_text="Empty: works from anywhere.")


class SessionShape(Shape):
    """One place where somebody is signed in; `kind`, `current` are added by the view."""

    id = Identifier()
    created_at = Moment()
    last_used_at = Moment(allow_null=True, help_text="Sign-in or newest refresh; in the admin to the minute.")
    expires_at = Moment()
    address = serializers.CharField(help_text="Where the sign-in came from.")
    user_agent = serializers.CharField(help_text="What it was made with.")


# What follows only describes answers that views put together.


class SignedInShape(Shape):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    user = UserShape()


class TokensShape(Shape):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()


class TicketShape(Shape):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class ApiKeysShape(Shape):
    items = ApiKeyShape(many=True)


class NewApiKeyShape(ApiKeyShape):
    key = serializers.CharField(help_text="Shown this once.")


class ListedSessionShape(SessionShape):
    kind = serializers.ChoiceField(choices=["api", "admin"])
    current = serializers.BooleanField(help_text="The session this request belongs to.")


class TotpShape(Shape):
    wire_names = {"is_required": "required"}
    enabled = serializers.BooleanField()
    is_required = serializers.BooleanField(help_text="This desk demands a second factor of you.")
    recovery_codes_left = serializers.IntegerField()


class TotpSecretShape(Shape):
    secret = serializers.CharField(help_text="Base32, to type into an authenticator app. Shown this once.")
    otpauth_url = serializers.CharField(help_text="The same as an otpauth:// address, for a QR code.")


class RecoveryCodesShape(Shape):
    recovery_codes = serializers.ListField(child=serializers.CharField(), help_text="Each works once. Shown this once.")
