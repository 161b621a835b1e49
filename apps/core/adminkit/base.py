"""The two kinds of admin pages: `DeskAdmin` for what an operator may change, `ReadOnlyAdmin` for what the engine wrote.

Both show fields written by `columns.line`, count no rows they do not need, and turn a refusal of a service into a
message on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from apps.core import formatting
from apps.core.adminkit import columns
from apps.core.errors import SoldeskError


class DeskAdmin(ModelAdmin):
    """Common ground of every page: full width, fifty rows, filters that apply together.

    Fields named in `lines` are shown, not edited, on the detail page; `extra_lines` adds columns that are no fields.
    """

    list_per_page = 50
    list_fullwidth = True
    list_filter_submit = True
    warn_unsaved_form = True
    compressed_fields = True
    empty_value_display = formatting.UNKNOWN
    lines: Sequence[str] = ()

    def __init__(self, model: type[models.Model], admin_site: Any) -> None:
        super().__init__(model, admin_site)
        self._written = {field.name: columns.line(field) for field in model._meta.concrete_fields}

    def written(self, name: str | columns.Column) -> str | columns.Column:
        """Return the line that shows a field read-only; what is a column already stays what it is."""
        return self._written.get(name, name) if isinstance(name, str) else name

    def is_line(self, name: Any, obj: models.Model | None) -> bool:
        """Whether a field of the detail page is shown instead of edited."""
        return callable(name) or name in self.lines

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (title, {**options, "fields": [self._shown(item, obj) for item in options["fields"]]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = [self.written(name) for name in self.lines]
        extra = [name for name in self._named(obj) if callable(name)]
        return [*super().get_readonly_fields(request, obj), *shown, *extra]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A list is titled by what it lists."""
        title = capfirst(self.opts.verbose_name_plural)
        response: HttpResponse = super().changelist_view(request, {"title": title, **(extra_context or {})})
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        except SoldeskError as refusal:
            messages.error(request, f"{refusal.message} ({refusal.code})")
            return HttpResponseRedirect(request.get_full_path())
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An object's history is what the audit log says of it."""
        history = urlencode({"object": f"{self.opts.model_name}:{unquote(object_id)}"})
        return HttpResponseRedirect(f"{reverse('admin:accounts_auditentry_changelist')}?{history}")

    def _shown(self, item: Any, obj: models.Model | None) -> Any:
        if isinstance(item, (list, tuple)):
            return [self._shown(name, obj) for name in item]
        return self.written(item) if self.is_line(item, obj) else item

    def _named(self, obj: models.Model | None) -> list[Any]:
        """Every field the fieldsets name, rows of several taken apart."""
        options = [chosen for _, chosen in self.fieldsets or ()] or [{"fields": self.fields or ()}]
        named: list[Any] = []
        for chosen in options:
            for item in chosen["fields"]:
                named.extend(item if isinstance(item, (list, tuple)) else [item])
        return named


class ReadOnlyAdmin(DeskAdmin):
    """Rows the engine keeps: to be read, searched and linked, never added, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def is_line(self, name: Any, obj: models.Model | None) -> bool:
        return True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields or [field.name for field in self.model._meta.concrete_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*self._written.values(), *(name for name in self._named(obj) if callable(name))]


class LongTableAdmin(ReadOnlyAdmin):
    """A table too long to count: pages forward and back, no total."""

    paginator = InfinitePaginator
    show_full_result_count = False
