"""Where operators must have a second factor (REQUIRE_STAFF_TOTP), one without gets no further than to set it up."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from apps.accounts import selectors
from apps.accounts.errors import SecondFactorDemanded
from apps.accounts.models import User
from apps.core.api.errors import respond

_FREE = ("/admin/me/", "/admin/logout/", "/admin/login/", "/admin/jsi18n/", settings.STATIC_URL)


class DemandSecondFactor:
    """Holds for requests that carry an admin session; sign-in to the API asks `services.sign_in`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not settings.REQUIRE_STAFF_TOTP or settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self.get_response(request)
        if request.path.startswith(_FREE):
            return self.get_response(request)
        user = request.user
        if not isinstance(user, User) or not selectors.lacks_second_factor(user):
            return self.get_response(request)
        if request.path.startswith("/api/"):
            return respond(SecondFactorDemanded())
        return HttpResponseRedirect(reverse("my_second_factor"))
