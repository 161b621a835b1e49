"""The live desk: its page, and the few requests it makes that the API has no route for. What is live is the feed's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.console import panel, place
from apps.console.admission import DESK_PERMISSION
from apps.core.api import wire
from apps.core.errors import SoldeskError
from apps.signals.models import TradingSignal
from apps.trading.api.story_shapes import StoryShape
from apps.trading.models import CloseReason, Position
from apps.trading.selectors import exit_plans, position_stories
from apps.trading.services import exits

CLOSE_PERMISSION = "trading.change_position"
STATE_PERMISSION = "trading.change_tradingstate"
_POLICY = (
    "default-src 'none'; img-src 'self' data:; font-src 'self'; style-src 'self'; script-src 'self';"
    " connect-src 'self' {feed}; object-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)

View = Callable[..., HttpResponse]


def operators_only(*, signs_in: bool = False) -> Callable[[View], View]:
    """Let operators who may see positions in; others get 401 or 403, or with `signs_in` the sign-in page."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            if isinstance(user, AnonymousUser) or not user.is_active or not user.is_staff:
                if signs_in:
                    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path()})}")
                return _json({"error": "Sign in again.", "code": "NOT_SIGNED_IN"}, 401)
            if not user.has_perm(DESK_PERMISSION):
                return _json({"error": "You may not see positions.", "code": "NOT_ALLOWED"}, 403)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


@require_GET
@ensure_csrf_cookie
@operators_only(signs_in=True)
def desk(request: HttpRequest) -> HttpResponse:
    """The page."""
    user = cast(User, request.user)
    options = {
        "socket": "/ws?agentId=*",
        "csrfCookie": settings.CSRF_COOKIE_NAME,
        "mayClose": user.has_perm(CLOSE_PERMISSION),
        "maySwitch": user.has_perm(STATE_PERMISSION),
        "signIn": f"{settings.LOGIN_URL}?next=/desk/",
    }
    host = request.get_host().partition(":")[0]
    sandbox = urlsplit(settings.SANDBOX_URL)
    links = {"sandbox": f"http://{host}:{sandbox.port}/" if sandbox.port else ""}
    response = render(request, "desk/desk.html", {"options": options, "links": links, "place": place.here()})
    response["Content-Security-Policy"] = _POLICY.format(feed=_feed_origin(request))
    return response


@require_GET
@operators_only()
def where(request: HttpRequest) -> HttpResponse:
    """Which cluster the desk's nodes are of: the page asks again until one has told."""
    found = place.here()
    return _json({"word": found.word, "tone": found.tone, "sentence": found.sentence, "known": found.is_known})


@require_GET
@operators_only()
def signal(request: HttpRequest, signal_id: int) -> HttpResponse:
    """Why each agent traded a signal or did not."""
    if not TradingSignal.objects.filter(pk=signal_id).exists():
        raise Http404
    return _json({"signalId": signal_id, "executions": panel.executions(signal_id)})


@require_GET
@operators_only()
def position(request: HttpRequest, position_id: UUID) -> HttpResponse:
    """A position's books, plan and story, whoever owns it; the API's own shape and where it is in the admin."""
    story = position_stories.find_story(position_id)
    if story is None:
        return _json({"error": "The position does not exist.", "code": "POSITION_NOT_FOUND"}, 404)
    place = {
        "agentName": story.position.agent.name,
        "adminUrl": reverse("admin:trading_position_change", args=[position_id]),
    }
    return _json(StoryShape.present(story) | place)


@require_GET
@operators_only()
def levels(request: HttpRequest) -> HttpResponse:
    """How many take-profit levels and DCA buys each agent's positions may go through: what "2 of 4" is of."""
    counts = exit_plans.level_counts()
    return _json({str(agent): {"takeProfit": count.take_profit, "dca": count.dca} for agent, count in counts.items()})


@require_POST
@operators_only()
def close_position(request: HttpRequest, position_id: UUID) -> HttpResponse:
    """Ask for a sale at once; how it ends is told by the feed."""
    if not request.user.has_perm(CLOSE_PERMISSION):
        return _json({"error": "You may not close positions.", "code": "NOT_ALLOWED"}, 403)
    position = Position.objects.filter(pk=position_id).first()
    if position is None:
        return _json({"error": "The position does not exist.", "code": "POSITION_NOT_FOUND"}, 404)
    try:
        intent = exits.request_close(position=position, reason=CloseReason.MANUAL, actor=cast(User, request.user))
    except SoldeskError as error:
        return _json({"error": error.message, "code": error.code}, error.status)
    return _json({"intentId": intent.pk}, 202)


def _feed_origin(request: HttpRequest) -> str:
    return f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"


def _json(document: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(wire.encode(document), status=status, content_type="application/json")
