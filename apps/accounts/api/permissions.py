"""What a known caller may do: signed in, within the scopes of a key, operators only."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.accounts.api.authentication import Credential, wanted_scope
from apps.accounts.services import api_keys
from apps.core.errors import Denied


class SignedIn(BasePermission):
    """Anybody signed in; a key also needs the scope its route names."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.user is None or not request.user.is_authenticated:
            return False
        credential = request.auth
        if isinstance(credential, Credential) and credential.api_key is not None:
            wanted = wanted_scope(request) or "full_access"
            if not api_keys.allows(credential.api_key.scopes, wanted):
                raise Denied("SCOPE_MISSING", f"This API key lacks the scope `{wanted}`.", extra={"scope": wanted})
        return True


class Operator(SignedIn):
    """Signed in and staff."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        if not request.user.is_staff:
            raise Denied("OPERATORS_ONLY", "Only operators may do this.")
        return True
