"""Who presses a button in the admin: the user the audit log names."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from apps.accounts.models import User


def operator_of(request: HttpRequest) -> User:
    """Return the signed-in user of an admin request.

    Raises:
        PermissionDenied: nobody is signed in.
    """
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
