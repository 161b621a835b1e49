"""Sign-in of Django's own doors (admin, browsable API) by the same rules as the API: e-mail, lockout, one answer."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.services import sign_in
from apps.core.errors import SoldeskError


class EmailBackend(ModelBackend):
    """Authenticate by e-mail; who is locked, or has a second factor to show, is refused like a wrong password.

    The admin's own form asks for the second factor and says what is the matter (`apps.accounts.forms`).
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        email = username or kwargs.get("email")
        if not email or password is None or "\0" in email:
            return None
        try:
            return sign_in.verify(email=email, password=password)
        except SoldeskError:
            raise PermissionDenied from None
