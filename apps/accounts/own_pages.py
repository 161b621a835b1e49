"""One's own account in the admin: password, second factor, sessions. No model's pages: everybody has exactly one.

Secrets and recovery codes stand in the answer to a POST, once: in no cookie, log or message.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import segno
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import views as auth_views
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse_lazy
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import selectors
from apps.accounts.admin_sessions import session_id
from apps.accounts.models import User
from apps.accounts.operators import operator_of
from apps.accounts.own_forms import BeginForm, CodeForm, FirstCodeForm, OwnForm, OwnPasswordForm, TurnOffForm
from apps.accounts.services import second_factor, sessions
from apps.core.errors import SoldeskError

ACCOUNT = "my_account"
SECOND_FACTOR = "my_second_factor"


class PasswordChange(auth_views.PasswordChangeView):
    """A new password for the present one; this session stays, every other ends."""

    form_class = OwnPasswordForm
    success_url = reverse_lazy(ACCOUNT)
    template_name = "registration/password_change_form.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "keep": current_session(self.request)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = {**admin.site.each_context(self.request), "title": "Change password"}
        return {**super().get_context_data(**kwargs), **page}

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, "Your password was changed; your other sessions have ended.")
        return response


@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Show how one signs in, and where one is signed in."""
    user, current = operator_of(request), current_session(request)
    rows = [("Admin", row) for row in selectors.list_admin_sessions(user=user)]
    rows += [("API", row) for row in selectors.list_sessions(user=user)]  # type: ignore[misc]
    rows.sort(key=lambda place: (place[1].pk != current, -place[1].created_at.timestamp()))
    context = {
        "title": "My account",
        "places": [{"kind": kind, "row": row, "current": row.pk == current} for kind, row in rows],
        "others": sum(row.pk != current for _, row in rows),
        "second_factor": selectors.find_second_factor(user),
        "codes_left": second_factor.codes_left(user),
    }
    return _page(request, "admin/soldesk/account.html", context)


@require_POST
def end_session(request: HttpRequest, session_key: UUID) -> HttpResponse:
    """End one of one's sessions."""
    try:
        sessions.end_own(user=operator_of(request), session_id=session_key)
    except SoldeskError as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, "The session has ended.")
    return redirect(ACCOUNT)


@require_POST
def end_every_session(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere, here too."""
    user = operator_of(request)
    sessions.sign_out_everywhere(user=user, actor=user, reason="ended_by_user")
    return redirect("admin:index")


@never_cache
@require_http_methods(["GET", "POST"])
def own_second_factor(request: HttpRequest) -> HttpResponse:
    """Set a second factor up, replace its recovery codes, turn it off; which of these, the form's button says."""
    user = operator_of(request)
    steps = {"begin": _begin, "confirm": _confirm, "codes": _new_codes, "off": _turn_off}
    step = steps.get(request.POST.get("do", ""))
    if request.method == "POST" and step is not None:
        return step(request, user)
    return _state(request, user)


def current_session(request: HttpRequest) -> UUID | None:
    """Return the session the browser is signed in with."""
    key = request.session.session_key
    return None if key is None else session_id(key)


def _state(request: HttpRequest, user: User, **forms: OwnForm) -> HttpResponse:
    """Show what there is and what may be done; `forms` are those that were refused."""
    factor = selectors.find_second_factor(user)
    context = {
        "title": "Second factor",
        "second_factor": factor,
        "codes_left": second_factor.codes_left(user),
        "demanded": selectors.lacks_second_factor(user),
        "required": settings.REQUIRE_STAFF_TOTP,
        "begin_form": BeginForm(user=user),
        "codes_form": CodeForm(user=user, prefix="codes"),
        "off_form": TurnOffForm(user=user, prefix="off"),
        **forms,
    }
    return _page(request, "admin/soldesk/second_factor.html", context)


def _begin(request: HttpRequest, user: User) -> HttpResponse:
    form = BeginForm(request.POST, user=user)
    if form.is_valid():
        try:
            enrolment = second_factor.begin(user=user)
        except SoldeskError as refusal:
            form.refuse(refusal)
        else:
            return _first_code(request, FirstCodeForm(user=user), enrolment)
    return _state(request, user, begin_form=form)


def _confirm(request: HttpRequest, user: User) -> HttpResponse:
    form = FirstCodeForm(request.POST, user=user)
    if form.is_valid():
        try:
            codes = second_factor.confirm(user=user, code=form.cleaned_data["code"], keep=current_session(request))
        except SoldeskError as refusal:
            form.refuse(refusal)
        else:
            return _codes(request, codes, "The second factor is on. Your other sessions have ended.")
    return _first_code(request, form, None)


def _new_codes(request: HttpRequest, user: User) -> HttpResponse:
    form = CodeForm(request.POST, user=user, prefix="codes")
    if form.is_valid():
        try:
            codes = second_factor.new_recovery_codes(user=user, code=form.cleaned_data["code"])
        except SoldeskError as refusal:
            form.refuse(refusal)
        else:
            return _codes(request, codes, "The old recovery codes do not work any more.")
    return _state(request, user, codes_form=form)


def _turn_off(request: HttpRequest, user: User) -> HttpResponse:
    form = TurnOffForm(request.POST, user=user, prefix="off")
    if form.is_valid():
        try:
            second_factor.turn_off(user=user, code=form.cleaned_data["code"])
        except SoldeskError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, "The second factor is off: the password alone signs you in.")
            return redirect(SECOND_FACTOR)
    return _state(request, user, off_form=form)


def _first_code(request: HttpRequest, form: FirstCodeForm, enrolment: second_factor.Enrolment | None) -> HttpResponse:
    """Ask for the first code; the secret is shown with its first asking only."""
    context: dict[str, Any] = {"title": "Set up a second factor", "form": form, "enrolment": enrolment}
    if enrolment is not None:
        context["qr"] = _qr(enrolment.url)
        letters = enrolment.secret
        context["secret_groups"] = [letters[at : at + 4] for at in range(0, len(letters), 4)]
    return _page(request, "admin/soldesk/second_factor_setup.html", context)


def _codes(request: HttpRequest, codes: list[str], done: str) -> HttpResponse:
    context = {"title": "Recovery codes", "codes": codes, "done": done, "all_codes": "\n".join(codes)}
    return _page(request, "admin/soldesk/recovery_codes.html", context)


def _qr(url: str) -> SafeString:
    """Return the QR code as SVG of our own making."""
    drawn = segno.make(url, error="m").svg_inline(
        border=3, dark="#111827", light="#ffffff", svgclass="sd-qr", omitsize=True
    )
    return mark_safe(drawn)  # noqa: S308 - segno's SVG holds modules, no text of anybody


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})
