"""Shapes of the routes of accounts."""

from __future__ import annotations

from rest_framework import serializers

from apps.accounts.models import Scope
from apps.core.api.fields import Choice, Flag, Identifier, Moment, Text
from apps.core.api.shapes import Body, Shape


class LoginBody(Body):
    middleware_family = True
    email = serializers.EmailField(max_length=254)
    password = Text(trim_whitespace=False, max_length=4096)
    remember_me = Flag(required=False, default=False)


class RefreshBody(Body):
    middleware_family = True
    refresh_token = Text(max_length=4096)


class LogoutBody(Body):
    refresh_token = Text(required=False, allow_null=True, allow_blank=True, max_length=4096)


class ApiKeyBody(Body):
    middleware_family = True
    name = Text(max_length=100)
    scopes = serializers.ListField(child=Choice(choices=Scope.values), allow_empty=False, max_length=50)
    expires_at = Moment(required=False, allow_null=True)


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
    last_used_at = Moment(allow_null=True)
    expires_at = Moment(allow_null=True)


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
