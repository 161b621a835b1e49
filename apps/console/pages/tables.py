"""Lists that stand inside another object's page, as tabs: the same columns as the list of their own, one owner's rows.

Each costs a count and a page of rows, whatever their number. A tab is left out for who may not see its model.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.datasets import BaseDataset


class OwnedTable:
    """Mixed into an admin class: shows the rows whose `owner_path` is the page's object."""

    owner_path: ClassVar[str]
    extra_context: dict[str, Any]
    list_select_related: Any
    search_fields: Any = ()
    list_per_page = 25
    hidden_columns: ClassVar[tuple[str, ...]] = ()
    actions: Any = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        related = self.list_select_related or ()  # unfold's datasets leave this out
        return rows.filter(**{self.owner_path: self.extra_context["object"]}).select_related(*related)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = super().get_list_display(request)  # type: ignore[misc]
        return [item for item in shown if getattr(item, "__name__", item) not in self.hidden_columns]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if self.actions else {}  # type: ignore[misc]


def tab(title: str, model: type[Model], table: type[Any]) -> type[BaseDataset]:
    """Return the dataset unfold shows as a tab."""
    name = f"{table.__name__}Tab"
    return type(name, (BaseDataset,), {"title": title, "model": model, "model_admin": table, "tab": True})


def visible(request: HttpRequest, tabs: tuple[type[BaseDataset], ...]) -> list[type[BaseDataset]]:
    """Return the tabs of an existing object whose models the operator may see."""
    match = request.resolver_match
    if match is None or "object_id" not in match.kwargs:
        return []
    return [each for each in tabs if admin.site._registry[each.model].has_view_permission(request)]
