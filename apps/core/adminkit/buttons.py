"""Buttons: a form to confirm with, one service call, a sentence about what came of it.

`@button(...)` turns a method `(self, request, obj, values) -> str` into an action of unfold's header, row or list. It
asks in a dialog (or on a page of its own without JavaScript), runs on POST only, and shows a service's refusal in the
form. Who may press it is `has_<permission>_permission` of the admin class. The service writes the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.enums import ActionVariant

from apps.core.errors import SoldeskError

Act = Callable[[Any, HttpRequest, Any, dict[str, Any]], str | HttpResponse]


class ConfirmForm(forms.Form):
    """Nothing to fill in: pressing the button is the answer. Other forms derive from it.

    `target` is the object the button belongs to, None for a button of a list.
    """

    next = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, request: HttpRequest, target: Model | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.target = target

    @property
    def question(self) -> str:
        """What the operator is asked beyond the button's description; may name the target."""
        return ""


def button(
    *,
    title: str,
    description: str = "",
    submit: str = "",
    form: type[ConfirmForm] = ConfirmForm,
    icon: str = "",
    variant: ActionVariant = ActionVariant.DEFAULT,
    permission: str = "operate",
    path: str | None = None,
    dangerous: bool | None = None,
) -> Callable[[Act], Any]:
    """Make a method a button; it gets the object (or None in a list) and the form's values, and returns a sentence.

    `variant` colours the button on the page; `dangerous` the answer's (default: as the variant says).
    What must be seen once and never travel in a cookie (a new key) is returned as a response instead.
    """

    def decorate(act: Act) -> Any:
        @wraps(act)
        def view(self: Any, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
            if not getattr(self, f"has_{permission}_permission")(request, object_id):
                raise PermissionDenied
            target = _target(self, request, object_id)
            back = _back(self, request, target)
            filled = form(
                request.POST if request.method == "POST" else None,
                request=request,
                target=target,
                initial={**request.GET.dict(), "next": back},
            )
            if request.method == "POST" and filled.is_valid():
                try:
                    sentence = act(self, request, target, filled.cleaned_data)
                except SoldeskError as refusal:
                    filled.add_error(None, f"{refusal.message} ({refusal.code})")
                else:
                    if isinstance(sentence, HttpResponse):
                        return sentence
                    messages.success(request, sentence)
                    return _redirect(request, _safe(request, filled.cleaned_data.get("next"), back))
            return _page(self, request, target, filled, attributes, back)

        attributes: Any = view
        attributes.short_description = title
        attributes.description = description
        attributes.submit = submit or title
        attributes.url_path = path or act.__name__.replace("_", "-")
        attributes.icon = icon
        attributes.variant = variant
        attributes.attrs = {}
        attributes.dangerous = (
            variant in (ActionVariant.DANGER, ActionVariant.WARNING) if dangerous is None else dangerous
        )
        attributes.dialog = {"title": title, "description": description, "form_class": form, "form_submit_text": submit}
        attributes.allowed_permissions = (permission,)
        attributes.original_function_name = act.__name__
        return view

    return decorate


def run_each(
    model_admin: Any, request: HttpRequest, rows: QuerySet[Any] | Sequence[Any], act: Callable[[Any], Any], done: str
) -> None:
    """Do `act` to each row on its own and tell what came of them: `done` is a sentence with `{count}`."""
    count = 0
    for row in rows:
        try:
            act(row)
            count += 1
        except SoldeskError as refusal:
            model_admin.message_user(request, f"{row}: {refusal.message} ({refusal.code})", messages.ERROR)
    if count:
        model_admin.message_user(request, done.format(count=count), messages.SUCCESS)


def confirm_selected(
    model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, action: str, title: str, question: str, submit: str
) -> HttpResponse | None:
    """Return the page that asks before a list action, or None once it was answered with yes."""
    if request.POST.get("confirmed") == "yes":
        return None
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.model._meta,
        "title": title,
        "question": question,
        "submit": submit,
        "action": action,
        "rows": list(rows),
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/soldesk/confirm_selected.html", context)


def go_to_list(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Answer a button whose object is gone now."""
    opts = model_admin.opts
    return _redirect(request, reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"))


def _target(model_admin: Any, request: HttpRequest, object_id: str | None) -> Model | None:
    if object_id is None:
        return None
    target: Model | None = model_admin.get_object(request, unquote(object_id))
    if target is None:
        raise Http404(f"There is no {model_admin.opts.verbose_name} {object_id}.")
    return target


def _page(
    model_admin: Any, request: HttpRequest, target: Model | None, form: ConfirmForm, attributes: Any, back: str
) -> TemplateResponse:
    in_dialog = "HX-Request" in request.headers
    context: dict[str, Any] = {
        **({} if in_dialog else model_admin.admin_site.each_context(request)),
        "title": attributes.short_description,
        "description": attributes.description,
        "submit": attributes.submit,
        "dangerous": attributes.dangerous,
        "form": form,
        "object": target,
        "back": back,
    }
    template = "admin/soldesk/dialog.html" if in_dialog else "admin/soldesk/action.html"
    return TemplateResponse(request, template, context)


def _back(model_admin: Any, request: HttpRequest, target: Model | None) -> str:
    """Where the operator came from: the page the dialog lies over, else the object, else the list."""
    label = f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}"
    fallback = reverse(f"{label}_change", args=[target.pk]) if target is not None else reverse(f"{label}_changelist")
    return _safe(request, request.GET.get("next") or request.headers.get("HX-Current-URL"), fallback)


def _safe(request: HttpRequest, url: str | None, fallback: str) -> str:
    if url and url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return url
    return fallback


def _redirect(request: HttpRequest, url: str) -> HttpResponse:
    if "HX-Request" not in request.headers:
        return HttpResponseRedirect(url)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = url
    return response
