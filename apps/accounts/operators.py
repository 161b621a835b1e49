"""Who presses a button in the admin: the user the audit log names, and whose things are not theirs to touch."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Manager
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


def may_touch(request: HttpRequest, rows: Manager[Any], object_id: Any, *, owner: str = "user__") -> bool:
    """Tell whether an operator may act on a row: an administrator's things are for administrators.

    `owner` is the way from the row to its user.
    """
    if request.user.is_superuser or object_id is None:
        return True
    try:
        return not rows.filter(pk=unquote(str(object_id)), **{f"{owner}is_superuser": True}).exists()
    except (ValueError, ValidationError):
        return True  # no id of such a row: the page says that there is none
